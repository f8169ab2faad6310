"""Row 36: requests that no honest client sends, against the real server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.headers import fixed
from captioner.settings import Settings
from tests.abuse.raw import Answer, send
from tests.abuse.watch import Watched, watched
from tests.stacks import Stack


@pytest.fixture(scope="module")
def api(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder: Path = tmp_path_factory.mktemp("http")
    with watched(stack, folder, api_processes="1", hsts_s="600") as started:
        yield started


TLS = Settings(hsts_s=600)
GET = b"GET /healthz HTTP/1.1\r\nHost: a\r\n"
HIDDEN = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"
SMUGGLED = {
    "CL.TE": b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n%b",
    "TE.CL": b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n%x\r\n%b\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: %d\r\nContent-Length: 0\r\n\r\n%b",
    "odd coding": b"Content-Length: %d\r\nTransfer-Encoding: xchunked\r\n\r\n%b",
    "space before colon": b"Content-Length : %d\r\n\r\n%b",
    "coding in a new line": b"X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n%b",
    "signed length": b"Content-Length: +%d\r\n\r\n%b",
    "listed length": b"Content-Length: %d, 0\r\n\r\n%b",
}


def refused(answer: Answer, *allowed: int) -> None:
    """One answer, of a status that is allowed, in our form; then the connection is closed."""
    assert len(answer.statuses) == 1, answer.data
    assert answer.statuses[0] in allowed, answer.data
    assert answer.closed
    assert answer.problem["status"] == answer.statuses[0]
    assert answer.problem["code"]
    assert "nosniff" in answer.head
    assert "Strict-Transport-Security" in answer.head
    assert "Traceback" not in answer.data.decode("latin-1")


@pytest.mark.parametrize("form", SMUGGLED.values(), ids=SMUGGLED)
def test_a_request_hidden_in_the_body_of_another_is_never_answered(api, form) -> None:
    body = b"POST /captionImage HTTP/1.1\r\nHost: a\r\n" + form % (len(HIDDEN), HIDDEN)
    refused(api.watch.send(body), 400, 501)


def test_headers_of_100_kb_are_refused(api) -> None:
    one = api.watch.send(GET + b"X: " + b"a" * 100_000 + b"\r\n\r\n")
    many = api.watch.send(GET + b"".join(b"X-%d: a\r\n" % n for n in range(10_000)) + b"\r\n")
    for answer in (one, many):
        refused(answer, 431)


def test_an_address_of_100_kb_is_refused(api) -> None:
    refused(api.watch.send(b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"), 414)


@pytest.mark.parametrize("begun", [b"", b"Content-Length: 100000\r\n\r\nabc"], ids=["head", "body"])
def test_a_request_that_does_not_come_is_told_so_with_its_name_in_the_log(api, begun) -> None:
    answer = send(api.url, b"POST /captionImage HTTP/1.1\r\nHost: a\r\n" + begun)

    refused(answer, 408)
    assert answer.problem["code"] == "request_timeout"
    request_id = answer.problem["request_id"]
    said = {line.lower() for line in answer.head.split("\r\n")}
    assert f"x-request-id: {request_id}" in said
    assert {f"{name}: {value}".lower() for name, value in fixed(TLS).items()} <= said
    assert "strict-transport-security: max-age=600" in said
    assert f'"request_id": "{request_id}"' in api.door.log.read_text(encoding="utf-8")


@pytest.mark.parametrize("method", [b"FOO", b"PROPFIND", b"TRACE", b"PATCH"])
def test_a_method_that_is_not_known_is_refused(api, method) -> None:
    answer = api.watch.send(method + GET.removeprefix(b"GET") + b"Connection: close\r\n\r\n")
    assert answer.statuses == [405]
    assert answer.problem["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    "line",
    [
        b"GET /healthz\r\n",  # HTTP/0.9
        b"GET /healthz HTTP/9.9\r\n",
        b"get /healthz HTTP/1.1\r\n",
        b"G\x00T /healthz HTTP/1.1\r\n",
        b"/healthz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",  # TLS
    ],
)
def test_a_first_line_that_is_none_is_refused(api, line) -> None:
    refused(api.watch.send(line + b"Host: a\r\n\r\n"), 400, 501, 505)


def test_a_large_body_that_is_announced_is_refused_before_it_is_sent(api) -> None:
    key = api.key("judy").encode()
    ask = b"Expect: 100-continue\r\nContent-Length: 999999999\r\nContent-Type: application/json\r\n"
    post = b"POST /captionImage HTTP/1.1\r\nHost: a\r\n" + ask
    for header, status in ((b"", 401), (b"Authorization: Bearer " + key + b"\r\n", 413)):
        answer = api.watch.send(post + header + b"\r\n")
        assert [each for each in answer.statuses if each != 100] == [status]
        assert answer.problem["status"] == status
    refused(api.watch.send(GET + b"Expect: a-miracle\r\n\r\n"), 417)


@pytest.mark.parametrize("path", [b"/captionImage", b"/api/images", b"/upload_image/"])
@pytest.mark.parametrize(
    "body",
    [
        b"A-SECRET\r\n{}\r\n0\r\n\r\n",
        b"-5\r\n{}\r\n0\r\n\r\n",
        b"0x2\r\n{}\r\n0\r\n\r\n",
        b"\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}A-SECRET\r\n0\r\n\r\n",
        b"2;" + b"a" * 100_000 + b"\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}\r\n0\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    ],
    ids=["size", "negative", "hex", "none", "end", "extension", "trailer"],
)
def test_chunks_that_are_none_are_refused_and_quoted_nowhere(api, path, body) -> None:
    key = api.key("peggy").encode()
    kind = b"application/json" if path == b"/captionImage" else b"multipart/form-data; boundary=b"
    head = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Type: %b\r\nX-API-Key: %b\r\n"
    chunked = head % (path, kind, key) + b"Transfer-Encoding: chunked\r\n\r\n"
    refused(api.watch.send(chunked + body), 400)
    log = api.door.log.read_text(encoding="utf-8")
    assert "Traceback" not in log
    assert "A-SECRET" not in log


def test_a_path_in_a_header_is_no_path(api) -> None:
    for header in (b"SCRIPT_NAME: /x", b"SCRIPT_NAME: /healthz", b"PATH_INFO: /captionImage"):
        answer = api.watch.send(GET + header + b"\r\nConnection: close\r\n\r\n")
        assert answer.statuses == [200], header


def test_a_key_in_a_request_that_cannot_be_read_is_neither_shown_nor_logged(api) -> None:
    key = api.key("mallory")
    for header in (
        f"Authorization: Bearer {key}\x00".encode(),
        f"X-API-Key : {key}".encode(),
        f"X-API-Key\x01{key}: a".encode(),
        f"X-API-Key: {key}".encode() + b"\xff" * 20_000,
    ):
        answer = api.watch.send(GET + header + b"\r\n\r\n")
        assert key.encode() not in answer.data
    api.watch.send(f"GET /healthz?key={key} HTTP/x\r\n\r\n".encode())
    assert key not in api.door.log.read_text(encoding="utf-8", errors="replace")


def test_row_36_takes_little_and_leaves_nothing_in_the_log(api) -> None:
    api.check()
