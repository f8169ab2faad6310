"""Row 24 of the abuse matrix: what a server may do to a fetch, and what becomes of it."""

import contextlib
import time
import tracemalloc

import pytest

from captioner.errors import (
    ImageTooManyBytes,
    UnsupportedImageFormat,
    UrlFetchFailed,
    UrlUnreachable,
)
from captioner.images import ImageLimits, inspect
from captioner.outbound.client import Outbound
from captioner.outbound.rules import Rules
from captioner.settings import Settings
from tests.unit.outbound.servers import OK, Flood, body, bomb, drips, packed, says, serve, status

MAX_BYTES = Settings().max_image_bytes
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@contextlib.contextmanager
def fetching(answer, *, timeout_s: float = 5, max_bytes: int = MAX_BYTES):
    """A server that does this, and a call that fetches from it."""
    with serve(answer) as server:
        outbound = Outbound(
            Rules((f"pictures.example:{server.port}",)),
            timeout_s=timeout_s,
            resolve=lambda host: ["127.0.0.1"],
        )
        url = f"http://pictures.example:{server.port}/cat.png?sig=s3cret"
        yield server, lambda: outbound.fetch(url, max_bytes=max_bytes)


def seconds_of(call, error: type[Exception]) -> float:
    began = time.monotonic()
    with pytest.raises(error) as raised:
        call()
    assert "s3cret" not in str(raised.value), "a signed query must not get into logs"
    return time.monotonic() - began


@pytest.mark.parametrize("size", [0, 1, 200_000, MAX_BYTES])
def test_a_body_within_the_bound_arrives_whole(size) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    with fetching(body(data[:size])) as (server, fetch):
        assert fetch() == data[:size]
    head = server.requests[0].decode().lower()
    assert head.startswith("get /cat.png?sig=s3cret http/1.1\r\n")
    assert f"host: pictures.example:{server.port}\r\n" in head
    assert "accept-encoding: identity" in head
    assert "cookie" not in head
    assert "authorization" not in head


@pytest.mark.parametrize(
    "answer",
    [
        says(CHUNKED, b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
        says(OK, b"\r\n", b"abcde"),
        body(b"abcde", b"Content-Encoding: identity"),
        says(b"HTTP/1.1 103 Early Hints\r\n\r\n", OK, b"Content-Length: 5\r\n\r\nabcde"),
    ],
)
def test_a_body_may_come_in_each_of_the_ways_of_http(answer) -> None:
    with fetching(answer) as (_, fetch):
        assert fetch() == b"abcde"


@pytest.mark.parametrize("kind", ["gzip", "deflate"])
def test_a_compressed_body_is_decompressed_within_the_bound(kind) -> None:
    header = f"Content-Encoding: {kind}".encode()
    with fetching(body(packed(bytes(MAX_BYTES), kind=kind), header)) as (_, fetch):
        assert fetch() == bytes(MAX_BYTES)
    with fetching(body(packed(bytes(MAX_BYTES + 1), kind=kind), header)) as (_, fetch):
        assert seconds_of(fetch, ImageTooManyBytes) < 2


def test_a_bomb_of_a_gigabyte_is_refused_with_little_memory() -> None:
    compressed = bomb(1024)
    with fetching(body(compressed, b"Content-Encoding: gzip")) as (_, fetch):
        tracemalloc.start()
        took = seconds_of(fetch, ImageTooManyBytes)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    print(f"gzip bomb: {len(compressed):,} bytes for 2**30, {took:.2f} s, peak {peak:,} bytes")
    assert took < 2
    assert peak < 5 * MAX_BYTES


def test_a_body_said_to_be_a_gigabyte_is_not_read() -> None:
    flood = Flood(OK + b"Content-Length: 1073741824\r\n\r\n")
    with fetching(flood) as (_, fetch):
        took = seconds_of(fetch, ImageTooManyBytes)
    print(f"1 GB announced: {took:.3f} s, {flood.sent:,} bytes sent")
    assert took < 1
    assert flood.sent < MAX_BYTES


@pytest.mark.parametrize(
    ("head", "chunk"),
    [
        (OK + b"\r\n", bytes(65_536)),
        (CHUNKED, b"10000\r\n" + bytes(65_536) + b"\r\n"),
        (OK + b"Content-Encoding: gzip\r\n\r\n" + packed(b"abc", kind="gzip"), bytes(65_536)),
    ],
    ids=["until closed", "chunked", "after the end of gzip"],
)
def test_a_body_that_never_ends_is_left_at_the_bound(head, chunk) -> None:
    flood = Flood(head, chunk)
    with fetching(flood) as (_, fetch):
        took = seconds_of(fetch, ImageTooManyBytes)
    print(f"endless: {took:.3f} s, {flood.sent:,} bytes sent")
    assert took < 4
    assert flood.sent < 2 * MAX_BYTES + 2**23, "what the buffers of the system hold comes on top"


@pytest.mark.parametrize(
    "head",
    [OK, OK + b"X: " + b"a" * 90_000 + b"\r\n", b"", b"HTTP/1.1 200 OK\r\nX-"],
)
def test_headers_that_never_end_are_left(head) -> None:
    flood = Flood(head, b"X-Header: aaaaaaaaaaaaaaaaaaaa\r\n" * 100)
    with fetching(flood) as (_, fetch):
        assert seconds_of(fetch, UrlFetchFailed) < 2
    assert flood.sent < 2**23


@pytest.mark.parametrize(
    ("head", "error"),
    [
        (OK + b"Content-Length: 9999\r\n\r\n", UrlFetchFailed),
        (OK + b"\r\n", UrlFetchFailed),
        (OK + b"X-Slow: ", UrlUnreachable),
        (b"", UrlUnreachable),
    ],
    ids=["body", "body without length", "header", "first line"],
)
def test_a_slow_drip_ends_with_the_bound(head, error) -> None:
    with fetching(drips(head=head, pause_s=0.02), timeout_s=0.6) as (_, fetch):
        took = seconds_of(fetch, error)
    print(f"slow drip: bound 0.6 s, took {took:.3f} s")
    assert 0.5 < took < 1


def test_a_server_that_says_nothing_is_left_at_the_bound() -> None:
    with fetching(lambda connection: connection.recv(1), timeout_s=0.6) as (_, fetch):
        assert 0.5 < seconds_of(fetch, UrlUnreachable) < 1


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"201 Created", UrlFetchFailed),
        (b"204 No Content", UrlFetchFailed),
        (b"206 Partial Content", UrlFetchFailed),
        (b"300 Multiple Choices", UrlFetchFailed),
        (b"304 Not Modified", UrlFetchFailed),
        (b"401 Unauthorized", UrlFetchFailed),
        (b"403 Forbidden", UrlFetchFailed),
        (b"404 Not Found", UrlFetchFailed),
        (b"410 Gone", UrlFetchFailed),
        (b"408 Request Timeout", UrlUnreachable),
        (b"429 Too Many Requests", UrlUnreachable),
        (b"500 Internal Server Error", UrlUnreachable),
        (b"503 Service Unavailable", UrlUnreachable),
    ],
)
def test_any_status_but_200_is_an_error_that_says_whether_to_try_again(line, error) -> None:
    with fetching(status(line)) as (_, fetch), pytest.raises(error, match=line[:3].decode()):
        fetch()


@pytest.mark.parametrize(
    "answer",
    [
        says(b"SSH-2.0-OpenSSH_9.6\r\n"),
        says(b"+PONG\r\n"),
        says(b"HTTP/1.1 abc\r\n\r\n"),
        says(OK, b"Content-Length: 10\r\n\r\nabc"),
        says(OK, b"Content-Length: -1\r\n\r\n"),
        says(OK, b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        says(CHUNKED, b"zz\r\nabc\r\n"),
        says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        body(b"no gzip", b"Content-Encoding: gzip"),
        body(packed(bytes(1000), kind="gzip")[:-9], b"Content-Encoding: gzip"),
        body(b"abc", b"Content-Encoding: br"),
        body(b"abc", b"Content-Encoding: gzip, gzip"),
    ],
)
def test_an_answer_that_is_no_proper_http_is_a_failed_fetch(answer) -> None:
    with fetching(answer) as (_, fetch):
        assert seconds_of(fetch, UrlFetchFailed) < 2


def test_what_the_bytes_are_is_decided_by_the_bytes() -> None:
    limits = ImageLimits.from_settings(Settings())
    page = body(b"<html>no picture</html>", b"Content-Type: image/png")
    with fetching(page) as (_, fetch), pytest.raises(UnsupportedImageFormat):
        inspect(fetch(), limits)


def test_a_server_that_is_not_there_may_come_back() -> None:
    with serve(body(b"")) as gone:
        pass
    outbound = Outbound(Rules((f"127.0.0.1:{gone.port}",)))

    with pytest.raises(UrlUnreachable):
        outbound.fetch(f"http://127.0.0.1:{gone.port}/", max_bytes=10)


def test_proxies_of_the_environment_are_not_used(monkeypatch) -> None:
    with serve(body(b"from the proxy")) as proxy, fetching(body(b"direct")) as (_, fetch):
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv(name.lower(), f"http://127.0.0.1:{proxy.port}")

        assert fetch() == b"direct"
        assert proxy.connections == 0
