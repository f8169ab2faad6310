"""Forms are read as by Werkzeug's own parser, in whatever pieces they come."""

from contextlib import suppress
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from api.form_parser import FormParser
from captioner.errors import InvalidRequest

FORM = "multipart/form-data"
PIECES = (
    b"--b", b"--b--", b"\r\n", b"\r\n\r\n", b"\n", b'"', b"\\", b";", b":", b"\x00", b"\xff",
    b"filename*=utf-8''%00", b"filename*=x'", b"; charset=utf-7", b"Content-Disposition: form-data",
    b"Content-Type: multipart/mixed; boundary=c", b"Content-Transfer-Encoding: base64",
)  # fmt: skip
"""What a form is made of."""
names = st.text(st.characters(codec="utf-8", exclude_characters='\r\n"\\%'), max_size=20)
parts = st.lists(st.tuples(names, st.none() | names, st.binary(max_size=200)), max_size=6)


class Pieces(BytesIO):
    """A stream that gives so much at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(data)
        self._size = size

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(self._size, size or 0))


def form(*given: tuple[str, str | None, bytes], end: bytes = b"--b--\r\n") -> bytes:
    """A body. A part with a second name is a file."""
    body = b""
    for name, file_name, data in given:
        disposition = f'Content-Disposition: form-data; name="{name}"'
        if file_name is not None:
            disposition += f'; filename="{file_name}"'
        body += b"--b\r\n" + disposition.encode() + b"\r\n\r\n" + data + b"\r\n"
    return body + end


def read(body: bytes, *, size: int = 65_536, boundary: str = "b", **bounds: int) -> tuple:
    """Texts and files, as lists."""
    parser = FormParser(cls=MultiDict, **bounds)  # type: ignore[arg-type]
    return told(parser.parse(Pieces(body, size), FORM, len(body), {"boundary": boundary}))


def told(parsed: tuple) -> tuple:
    _, texts, files = parsed
    found = [(name, f.filename, f.read()) for name, f in files.items(multi=True)]
    return list(texts.items(multi=True)), found


@given(parts, st.integers(1, 100))
def test_it_reads_what_werkzeug_reads(given: list, size: int) -> None:
    body = form(*given)
    usual = FormDataParser(lambda *_, **__: BytesIO(), cls=MultiDict)
    expected = told(usual.parse(BytesIO(body), FORM, len(body), {"boundary": "b"}))
    assert read(body, size=size) == expected


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A form that was cut, or some of whose bytes are others, or missing, or there twice."""
    body = bytearray(form(*draw(parts)))
    for _ in range(draw(st.integers(1, 6))):
        begin = draw(st.integers(0, len(body)))
        end = draw(st.integers(begin, min(len(body), begin + 30)))
        pieces = (
            st.binary(max_size=8),
            st.sampled_from(PIECES),
            st.just(bytes(body[begin:end] * 2)),
        )
        body[begin:end] = draw(st.one_of(*pieces))
    return bytes(body[: draw(st.integers(0, len(body)))] if draw(st.booleans()) else body)


@given(damaged() | st.binary(max_size=500), st.integers(1, 100))
def test_whatever_is_sent_is_read_or_refused(body: bytes, size: int) -> None:
    with suppress(InvalidRequest, RequestEntityTooLarge):
        texts, files = read(body, size=size, max_form_memory_size=100, max_form_parts=4)
        assert len(texts) + len(files) <= 4
        assert all(len(text) <= 100 for _, text in texts)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "after 0 whole parts"),
        (form(("a", None, b"x"), end=b""), "after 0 whole parts"),
        (b"no form at all", "after 0 whole parts"),
        (b"--b\nContent-Disposition: form-data; name=a\n\nx\n--b--\n", "line break"),
        (b"--b\r\nno header\r\n\r\nx\r\n--b--\r\n", "after 0 whole parts"),
        (b"--b\r\nContent-Type: image/png\r\n\r\nx\r\n--b--\r\n", "Content-Disposition"),
        (form(("a", "n" * 10_000, b"x")), "header"),
    ],
)  # fmt: skip
def test_a_broken_form_is_told_as_one(body: bytes, what: str) -> None:
    with pytest.raises(InvalidRequest, match=what):
        read(body)


def test_a_form_without_a_boundary_is_told_as_one() -> None:
    with pytest.raises(InvalidRequest, match="boundary"):
        read(form(), boundary="")


def test_a_file_name_by_the_rules_of_other_headers_is_a_file_name() -> None:
    head = b"Content-Disposition: form-data; name=\"images\"; filename*=UTF-8''na%C3%AFve.png"
    body = b"--b\r\n" + head + b"\r\n\r\nx\r\n--b--\r\n"
    assert read(body) == ([], [("images", "naïve.png", b"x")])


def test_a_text_is_in_the_characters_that_it_names() -> None:
    head = b'Content-Disposition: form-data; name="prompt"\r\nContent-Type: text/plain; charset='
    for charset, data in ((b"iso-8859-1", b"na\xefve"), (b"utf-7", b"na\xc3\xafve")):
        body = b"--b\r\n" + head + charset + b"\r\n\r\n" + data + b"\r\n--b--\r\n"
        assert read(body) == ([("prompt", "naïve")], [])


def test_too_long_a_text_and_too_many_parts_are_refused() -> None:
    long = ("prompt", None, b"x" * 11)
    assert read(form(("prompt", None, b"x" * 10)), max_form_memory_size=10)
    assert read(form(("file", "a", b"x" * 11)), max_form_memory_size=10)
    with pytest.raises(RequestEntityTooLarge):
        read(form(long), max_form_memory_size=10)
    with pytest.raises(RequestEntityTooLarge):
        read(form(long), max_form_memory_size=10, size=3)
    short = ("prompt", None, b"x" * 4)  # they are held in memory, all of them
    assert read(form(short, short), max_form_memory_size=10)
    with pytest.raises(RequestEntityTooLarge):
        read(form(short, short, short), max_form_memory_size=10)
    assert len(read(form(long, long), max_form_parts=2)[0]) == 2
    with pytest.raises(RequestEntityTooLarge):
        read(form(long, ("file", "a", b""), long), max_form_parts=2)


def test_a_form_of_other_kinds_is_werkzeugs() -> None:
    parsed = FormParser(cls=MultiDict).parse(
        BytesIO(b"a=1&a=2"), "application/x-www-form-urlencoded", 7
    )
    assert parsed[1].getlist("a") == ["1", "2"]
