"""Each limit of a request, with its own code and status, as JSON and as a form."""

import http.client
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image

from tests import processes
from tests.integration.calls import files, problem
from tests.pictures import b64, encoded, plain
from tests.stacks import Stack

MAX_BODY_BYTES = 10_000_000
MAX_JSON_BYTES = 8_000_000
MAX_IMAGE_BYTES = 5_000_000
LIMITS = {
    "CAPTIONER_MAX_BODY_BYTES": str(MAX_BODY_BYTES),
    "CAPTIONER_MAX_JSON_BYTES": str(MAX_JSON_BYTES),
    "CAPTIONER_MAX_IMAGE_BYTES": str(MAX_IMAGE_BYTES),
    "CAPTIONER_MAX_IMAGES": "3",
    "CAPTIONER_MAX_IMAGE_PIXELS": "4000000",
    "CAPTIONER_MAX_IMAGE_SIDE": "3000",
    "CAPTIONER_MIN_IMAGE_SIDE": "16",
    "CAPTIONER_MAX_PROMPT_CHARS": "20",
    "CAPTIONER_API_PROCESSES": "1",
}
TYPES = {"json": "application/json", "form": "multipart/form-data; boundary=b"}
FORM_HEAD = (
    b'--b\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n'
    b"Content-Type: image/png\r\n\r\n"
)
FORM_END = b"\r\n--b--\r\n"
JSON_HEAD, JSON_END = b'{"imgb64s": ["', b'"]}'


@pytest.fixture(scope="module")
def base(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An API with small limits, and no worker: what is accepted is only stored."""
    folder = tmp_path_factory.mktemp("limits")
    environment = {**stack.environment, **LIMITS}
    with processes.service(environment, folder, workers=0, ready=False) as address:
        yield address


@pytest.fixture(scope="module")
def tiff_base(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same, but for the formats that it reads."""
    folder: Path = tmp_path_factory.mktemp("formats")
    environment = {**stack.environment, **LIMITS, "CAPTIONER_IMAGE_FORMATS": "tiff, PNG"}
    with processes.service(environment, folder, workers=0, ready=False) as address:
        yield address


def send(base: str, kind: str, *pictures: bytes, **fields: str) -> httpx.Response:
    """The same pictures and fields, as JSON or as a form."""
    if kind == "json":
        body = {"imgb64s": [b64(picture) for picture in pictures], **fields}
        return httpx.post(f"{base}/captionImage", json=body, timeout=60)
    return httpx.post(f"{base}/captionImage", files=files(*pictures), data=fields, timeout=60)


def picture_of(bytes_wanted: int) -> bytes:
    """A picture file of exactly so many bytes: a BMP, its last ones unused."""
    width = 1000
    picture = encoded(Image.new("RGB", (width, bytes_wanted // (3 * width) - 1)), "BMP")
    return picture + bytes(bytes_wanted - len(picture))


both = pytest.mark.parametrize("kind", ["json", "form"])


@both
def test_a_picture_of_several_megabytes_is_accepted(base, kind) -> None:
    accepted = send(base, kind, picture_of(MAX_IMAGE_BYTES))
    assert accepted.status_code == 202, accepted.text


def test_a_form_may_be_larger_than_json(base) -> None:
    pictures = picture_of(4_900_000), picture_of(4_800_000)
    accepted = send(base, "form", *pictures)
    assert accepted.status_code == 202, accepted.text
    problem(send(base, "json", *pictures), 413, "payload_too_large")


@both
def test_a_picture_of_one_byte_too_many_is_refused(base, kind) -> None:
    body = problem(send(base, kind, picture_of(MAX_IMAGE_BYTES + 1)), 413, "image_too_many_bytes")
    assert str(MAX_IMAGE_BYTES) in body["detail"]
    assert body["errors"][0]["index"] == 0


@both
def test_a_picture_of_too_many_bytes_fails_alone(base, kind) -> None:
    accepted = send(base, kind, plain(), picture_of(MAX_IMAGE_BYTES + 1))
    assert accepted.status_code == 202, accepted.text
    job = httpx.get(f"{base}{accepted.headers['Location']}").json()
    assert job["images"][0]["status"] == "queued"
    assert job["images"][1]["status"] == "failed"
    assert job["images"][1]["error"]["code"] == "image_too_many_bytes"


@pytest.mark.parametrize("content_type", TYPES.values(), ids=TYPES)
def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(base, content_type) -> None:
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=30)
    connection.putrequest("POST", "/captionImage")
    connection.putheader("Content-Type", content_type)
    connection.putheader("Content-Length", str(MAX_BODY_BYTES + 1))
    connection.endheaders()
    answer = connection.getresponse()
    response = httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())
    connection.close()
    problem(response, 413, "payload_too_large")


@both
def test_a_body_that_is_too_large_is_refused(base, kind) -> None:
    pictures = [picture_of(4_900_000)] * 3
    problem(send(base, kind, *pictures), 413, "payload_too_large")


def chunked(base: str, kind: str, *, size: int) -> httpx.Response:
    """A picture of so many bytes on the wire, in a body whose length nobody knows beforehand."""
    head, end = (JSON_HEAD, JSON_END) if kind == "json" else (FORM_HEAD, FORM_END)
    picture = picture_of(size) if kind == "form" else b64(picture_of(size * 3 // 4)).encode()

    def chunks() -> Iterator[bytes]:
        yield head
        for start in range(0, len(picture), 100_000):
            yield picture[start : start + 100_000]
        yield end

    return httpx.post(
        f"{base}/captionImage", content=chunks(), headers={"Content-Type": TYPES[kind]}, timeout=60
    )


@both
def test_a_chunked_body_is_held_to_the_same_limits(base, kind) -> None:
    accepted = chunked(base, kind, size=4_000_000)
    assert accepted.status_code == 202, accepted.text
    problem(chunked(base, kind, size=MAX_BODY_BYTES + 4), 413, "payload_too_large")


def test_json_of_exactly_the_limit_fits_and_one_byte_more_does_not(base) -> None:
    body = JSON_HEAD + b64(plain()).encode() + JSON_END
    for size, status in ((MAX_JSON_BYTES, 202), (MAX_JSON_BYTES + 1, 413)):
        padded = body.ljust(size)
        for content in (padded, iter([padded])):  # with its length said, and chunked
            headers = {"Content-Type": TYPES["json"]}
            answer = httpx.post(f"{base}/captionImage", content=content, headers=headers)
            assert answer.status_code == status, answer.text


@both
def test_as_many_pictures_as_allowed_are_accepted_and_one_more_is_not(base, kind) -> None:
    assert send(base, kind, *[plain()] * 3).status_code == 202
    body = problem(send(base, kind, *[plain()] * 4), 413, "too_many_images")
    assert body["limit"] == 3


@both
def test_far_more_pictures_than_allowed_are_refused(base, kind) -> None:
    body = problem(send(base, kind, *[b"x"] * 200), 413, "too_many_images")
    assert body["limit"] == 3


@both
@pytest.mark.parametrize("size", [(3001, 16), (16, 3001), (2001, 2000)])
def test_a_picture_that_is_too_large_is_refused(base, kind, size) -> None:
    picture = encoded(Image.new("1", size))
    problem(send(base, kind, picture), 422, "image_too_large")


@both
@pytest.mark.parametrize("size", [(15, 100), (100, 15), (1, 1)])
def test_a_picture_that_is_too_small_is_refused(base, kind, size) -> None:
    picture = encoded(Image.new("1", size))
    problem(send(base, kind, picture), 422, "image_too_small")


@both
@pytest.mark.parametrize("size", [(3000, 16), (16, 3000), (2000, 2000), (16, 16)])
def test_a_picture_at_the_limit_is_accepted(base, kind, size) -> None:
    assert send(base, kind, encoded(Image.new("1", size))).status_code == 202


@both
def test_a_format_is_read_only_where_it_is_enabled(base, tiff_base, kind) -> None:
    tiff = encoded(Image.new("RGB", (64, 64)), "TIFF")
    gif = encoded(Image.new("RGB", (64, 64)), "GIF")
    body = problem(send(base, kind, tiff), 415, "unsupported_image_format")
    assert "JPEG" in body["detail"]
    assert body["detail"].startswith("TIFF pictures are not read here. Send one of JPEG, ")
    assert send(base, kind, gif).status_code == 202
    assert send(tiff_base, kind, tiff).status_code == 202
    body = problem(send(tiff_base, kind, gif), 415, "unsupported_image_format")
    assert "TIFF" in body["detail"]


@both
def test_a_prompt_at_the_limit_is_accepted_and_one_above_it_is_not(base, kind) -> None:
    assert send(base, kind, plain(), prompt="é" * 20).status_code == 202
    body = problem(send(base, kind, plain(), prompt="é" * 21), 422, "invalid_prompt")
    assert "20" in body["detail"]


@both
@pytest.mark.parametrize("prompt", ["a\x00b", "a\nb", "\x1b[31m red"])
def test_a_prompt_with_control_characters_is_refused(base, kind, prompt) -> None:
    problem(send(base, kind, plain(), prompt=prompt), 422, "invalid_prompt")
