"""Row 25 of the abuse matrix, and how a webhook's receiver may behave."""

import contextlib
import socket
import time

import pytest

from captioner.errors import UrlNotAllowed, UrlUnreachable
from captioner.outbound.client import MAX_ANSWER_BYTES, Outbound
from captioner.outbound.rules import Rules
from tests.unit.outbound.servers import OK, Flood, body, drips, redirect, says, serve, status


@contextlib.contextmanager
def posting(answer, *, timeout_s: float = 5):
    with serve(answer) as server:
        rules = Rules((f"hooks.example:{server.port}",))
        outbound = Outbound(rules, timeout_s=timeout_s, resolve=lambda host: ["127.0.0.1"])
        url = f"http://hooks.example:{server.port}/hook"
        headers = {"webhook-id": "msg_1", "Content-Type": "application/json"}
        yield server, lambda: outbound.post(url, body=b'{"a": 1}', headers=headers)


def test_body_and_headers_arrive_as_they_were_given() -> None:
    with posting(body(b"thanks")) as (server, post):
        answered = post()

    lines = server.requests[0].decode().lower().split("\r\n")
    assert lines[0] == "post /hook http/1.1"
    assert {"webhook-id: msg_1", "content-type: application/json", "content-length: 8"} < {*lines}
    assert server.bodies[0] == b'{"a": 1}'
    assert (answered.status, answered.body, answered.accepted) == (200, b"thanks", True)


@pytest.mark.parametrize("line", [b"301 M", b"302 F", b"303 S", b"307 T", b"308 P"])
def test_a_redirect_is_a_refusal_and_never_followed(line, attempts) -> None:
    with (
        serve(body(b"inside")) as canary,
        posting(redirect(f"http://127.0.0.1:{canary.port}/", line)) as (server, post),
    ):
        answered = post()

    assert answered.status == int(line[:3])
    assert not answered.accepted
    assert attempts == [("127.0.0.1", server.port)]
    assert canary.connections == 0


@pytest.mark.parametrize(
    ("line", "accepted"),
    [(b"204 No Content", True), (b"410 Gone", False), (b"500 Oops", False), (b"400 No", False)],
)
def test_the_status_is_told_whatever_it_is(line, accepted) -> None:
    with posting(status(line, b"Retry-After: 17")) as (_, post):
        answered = post()

    assert (answered.status, answered.accepted) == (int(line[:3]), accepted)
    assert answered.retry_after == "17"


def test_a_receiver_inside_is_refused(attempts) -> None:
    outbound = Outbound(Rules(), resolve=lambda host: ["10.0.0.1"])

    with pytest.raises(UrlNotAllowed):
        outbound.post("https://hooks.example/", body=b"{}", headers={})

    assert attempts == []


def test_only_the_beginning_of_an_answer_is_read() -> None:
    flood = Flood(OK + b"\r\n", b"x" * 65_536)
    with posting(flood) as (_, post):
        answered = post()

    assert answered.body == b"x" * MAX_ANSWER_BYTES
    assert flood.sent < 2**23


def test_a_slow_body_does_not_hold_a_delivery_that_was_accepted() -> None:
    with posting(drips(head=OK + b"\r\n", pause_s=0.05), timeout_s=30) as (_, post):
        began = time.monotonic()
        answered = post()
        took = time.monotonic() - began

    print(f"slow body of a webhook's answer: {took:.2f} s")
    assert answered.accepted
    assert answered.body.startswith(b"aaa")
    assert 1.8 < took < 2.5


def test_an_answer_that_breaks_off_counts_by_its_status() -> None:
    with posting(says(OK, b"Content-Length: 100\r\n\r\n", b"half")) as (_, post):
        assert post().body == b"half"


def test_an_early_refusal_is_heard_though_the_body_was_not_taken() -> None:
    def refuse(connection: socket.socket) -> None:
        status(b"413 Too Large")(connection)
        connection.shutdown(socket.SHUT_WR)
        time.sleep(0.3)

    with serve(refuse, takes_bodies=False) as server:
        rules = Rules((f"127.0.0.1:{server.port}",))
        answered = Outbound(rules, timeout_s=5).post(
            f"http://127.0.0.1:{server.port}/", body=bytes(30_000_000), headers={}
        )

    assert answered.status == 413


@pytest.mark.parametrize("head", [b"", OK + b"X-Slow: "])
def test_a_receiver_that_never_says_a_status_is_left_at_the_bound(head) -> None:
    with posting(drips(head=head, pause_s=0.02), timeout_s=0.6) as (_, post):
        began = time.monotonic()
        with pytest.raises(UrlUnreachable):
            post()
        assert 0.5 < time.monotonic() - began < 1


def test_a_receiver_that_takes_nothing_is_left_at_the_bound() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        outbound = Outbound(Rules((f"127.0.0.1:{port}",)), timeout_s=0.6)
        began = time.monotonic()
        with pytest.raises(UrlUnreachable):
            outbound.post(f"http://127.0.0.1:{port}/", body=bytes(50_000_000), headers={})

    assert 0.5 < time.monotonic() - began < 1
