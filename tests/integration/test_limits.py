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
MAX_IMAGE_BYTES = 5_000_000
LIMITS = {
    "CAPTIONER_MAX_BODY_BYTES": str(MAX_BODY_BYTES),
    "CAPTIONER_MAX_IMAGE_BYTES": str(MAX_IMAGE_BYTES),
    "CAPTIONER_MAX_IMAGES": "3",
    "CAPTIONER_MAX_IMAGE_PIXELS": "4000000",
    "CAPTIONER_MAX_IMAGE_SIDE": "3000",
    "CAPTIONER_MIN_IMAGE_SIDE": "16",
    "CAPTIONER_MAX_PROMPT_CHARS": "20",
    "CAPTIONER_API_PROCESSES": "1",
}
TYPES = {"json": "application/json", "form": "multipart/form-data; boundary=b"}


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


def noise(bytes_wanted: int) -> bytes:
    """A BMP of exactly so many bytes: three for a pixel, and a padded end."""
    width = 1000
    picture = encoded(Image.new("RGB", (width, bytes_wanted // (3 * width) - 1)), "BMP")
    return picture + bytes(bytes_wanted - len(picture))


both = pytest.mark.parametrize("kind", ["json", "form"])


@both
def test_a_picture_of_several_megabytes_is_accepted(base, kind) -> None:
    accepted = send(base, kind, noise(MAX_IMAGE_BYTES))
    assert accepted.status_code == 202, accepted.text


def test_a_form_may_have_several_large_pictures(base) -> None:
    accepted = send(base, "form", noise(4_900_000), noise(4_800_000))
    assert accepted.status_code == 202, accepted.text


@both
def test_a_picture_of_one_byte_too_many_is_refused(base, kind) -> None:
    body = problem(send(base, kind, noise(MAX_IMAGE_BYTES + 1)), 413, "image_too_many_bytes")
    assert str(MAX_IMAGE_BYTES) in body["detail"]
    assert body["errors"][0]["index"] == 0


@both
def test_a_picture_of_too_many_bytes_fails_alone(base, kind) -> None:
    accepted = send(base, kind, plain(), noise(MAX_IMAGE_BYTES + 1))
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
    pictures = [noise(4_900_000)] * 3
    problem(send(base, kind, *pictures), 413, "payload_too_large")


@pytest.mark.parametrize("content_type", TYPES.values(), ids=TYPES)
def test_a_chunked_body_that_turns_out_too_large_is_refused(base, content_type) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"imgb64s": ["' if "json" in content_type else FORM_HEAD
        for _ in range(MAX_BODY_BYTES // 100_000 + 1):
            yield b"A" * 100_000
        yield b'"]}' if "json" in content_type else b"\r\n--b--\r\n"

    headers = {"Content-Type": content_type}
    response = httpx.post(f"{base}/captionImage", content=chunks(), headers=headers, timeout=60)
    problem(response, 413, "payload_too_large")


FORM_HEAD = (
    b'--b\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n'
    b"Content-Type: image/png\r\n\r\n"
)


def test_a_chunked_body_within_the_limit_is_accepted(base) -> None:
    def chunks() -> Iterator[bytes]:
        yield FORM_HEAD
        picture = noise(4_000_000)
        for start in range(0, len(picture), 100_000):
            yield picture[start : start + 100_000]
        yield b"\r\n--b--\r\n"

    headers = {"Content-Type": TYPES["form"]}
    response = httpx.post(f"{base}/captionImage", content=chunks(), headers=headers, timeout=60)
    assert response.status_code == 202, response.text


@both
def test_as_many_pictures_as_allowed_are_accepted_and_one_more_is_not(base, kind) -> None:
    assert send(base, kind, *[plain()] * 3).status_code == 202
    body = problem(send(base, kind, *[plain()] * 4), 413, "too_many_images")
    assert body["limit"] == 3


@both
def test_a_form_or_body_of_very_many_pictures_is_refused_too(base, kind) -> None:
    response = send(base, kind, *[b"x"] * 200)
    assert response.status_code == 413, response.text


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
    assert "TIFF" not in body["detail"]
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
