"""Multipart forms by the library `multipart`.

It takes a twelfth of the time of Werkzeug's own parser for a form of small pictures, and that was a
quarter of a request. It says what is wrong with a form, too: Werkzeug's takes a broken one for an
empty one.
"""

from collections.abc import Iterator
from io import BytesIO
from typing import IO, Any

from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
)
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from captioner.errors import InvalidRequest

CHUNK_BYTES = 65_536
HEADER_BYTES = 8_192
"""The longest line in the head of a part: it has the name of a file."""
CHARSETS = ("ascii", "us-ascii", "utf-8", "iso-8859-1")
Parsed = tuple[IO[bytes], MultiDict[str, str], MultiDict[str, FileStorage]]


class FormParser(FormDataParser):
    """See `werkzeug.formparser.FormDataParser`, whose bounds it keeps.

    Raises `InvalidRequest` where a form is broken, `RequestEntityTooLarge` where it has too many
    parts, or texts that are too long together: they are held in memory.
    """

    def parse(
        self,
        stream: IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: dict[str, str] | None = None,
    ) -> Parsed:
        """Called by Flask for each form: the stream, the texts, and the files."""
        if mimetype != "multipart/form-data":
            return super().parse(stream, mimetype, content_length, options)
        form = _Form(self)
        try:
            for event in _events(stream, (options or {}).get("boundary", "")):
                if event is None:
                    form.end()
                elif isinstance(event, MultipartSegment):
                    form.begin(event)
                else:
                    form.add(event)
        except MultipartError as error:
            whole = len(form.texts) + len(form.files)
            detail = f"The form is broken after {whole} whole parts: {error}."
            raise InvalidRequest(detail) from error
        return stream, self.cls(form.texts), self.cls(form.files)


class _Form:
    """What of a form has come."""

    def __init__(self, bounds: FormParser) -> None:
        self._bounds = bounds
        self.parts = self.text_bytes = 0
        self.texts: list[tuple[str, str]] = []
        self.files: list[tuple[str, FileStorage]] = []

    def begin(self, part: MultipartSegment) -> None:
        self.parts += 1
        if self.parts > (self._bounds.max_form_parts or self.parts):
            raise RequestEntityTooLarge
        self._part, self._file_name = part, _file_name(part)
        if self._file_name is None:
            self._data: Any = BytesIO()
        else:
            self._data = self._bounds.stream_factory(None, part.content_type, self._file_name)

    def add(self, data: bytes) -> None:
        self._data.write(data)
        if self._file_name is None:
            self.text_bytes += len(data)
            if self.text_bytes > (self._bounds.max_form_memory_size or self.text_bytes):
                raise RequestEntityTooLarge

    def end(self) -> None:
        name = self._part.name
        if self._file_name is None:
            charset = self._part.charset if self._part.charset in CHARSETS else "utf-8"
            self.texts.append((name, self._data.getvalue().decode(charset, "replace")))
        else:
            self._data.seek(0)
            self.files.append((name, FileStorage(self._data, self._file_name, name)))


def _events(stream: IO[bytes], boundary: str) -> Iterator[MultipartSegment | bytes | None]:
    parser = PushMultipartParser(boundary, max_header_size=HEADER_BYTES)
    while chunk := stream.read(CHUNK_BYTES):
        yield from parser.parse(chunk)
    parser.close()


def _file_name(part: MultipartSegment) -> str | None:
    """Of a file; None of a text. Some clients name it only by the rules of other headers."""
    name: str | None = part.filename
    if name is None:
        named = parse_options_header(part.header("Content-Disposition"))[1]
        name = named.get("filename")
    return name
