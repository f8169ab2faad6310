"""When a thread may begin with a request, and that threads come and go."""

import threading
import time

import pytest

from api.arrival import BODY_S, ENOUGH_BYTES, HEAD_S, MIN_BYTES, Arrival
from api.threads import Threads
from tests.processes import until

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"


def arrival(data: bytes) -> Arrival:
    return Arrival(data, max_body_bytes=1_000_000)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        POST + b"Content-Length: 3\r\n\r\nabc",
        POST + b"content-length:3\r\n\r\nabc",
        POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA-Trailer: x\r\n\r\n",
    ],
)
def test_a_request_is_enough_with_its_last_byte_and_not_before(request_bytes) -> None:
    arriving = arrival(b"")
    for n in range(len(request_bytes)):
        assert not arriving.is_enough
        arriving.add(request_bytes[n : n + 1])
    assert arriving.is_enough


@pytest.mark.parametrize(
    "head",
    [
        POST + b"Content-Length: 1000001\r\n\r\n",  # to be refused
        POST + b"Expect: 100-continue\r\nContent-Length: 1000001\r\n\r\n",
        POST + b"Expect: a-miracle\r\nContent-Length: 9\r\n\r\n",
        POST.replace(b"1.1", b"1.0") + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        POST + b"Content-Length: 900000\r\n\r\n" + bytes(ENOUGH_BYTES),
        b"x" * ENOUGH_BYTES,
    ],
)
def test_a_thread_begins_where_it_has_something_to_say_or_much_to_read(head) -> None:
    assert arrival(head).is_enough


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n", b"abc"),
        (b"Content-Length: 3\r\nexpect:100-Continue\r\n\r\n", b"abc"),
        (b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n"),
    ],
)
def test_a_client_that_asks_first_is_answered_once_and_its_body_gathered(head, body) -> None:
    asking = arrival(POST + head)
    assert not asking.is_enough
    assert asking.answer_due() == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert asking.answer_due() == b""
    asking.add(body[:2])
    assert not asking.is_enough
    asking.add(body[2:])
    assert asking.is_enough
    assert b"expect" not in asking.data.lower()  # so that no thread answers it again
    assert asking.data.endswith(b"\r\n\r\n" + body)
    at_once = arrival(POST + head + body)
    assert at_once.is_enough
    assert at_once.answer_due() == b""


def test_a_request_has_its_time() -> None:
    now = time.monotonic()
    head = arrival(b"GET / HTTP/1.1\r\n")
    assert not head.is_overdue(now + HEAD_S - 1)
    assert head.is_overdue(now + HEAD_S + 1)
    body = arrival(POST + b"Content-Length: 900000\r\n\r\n" + bytes(MIN_BYTES))
    assert not body.is_overdue(now + BODY_S - 1)
    assert body.is_overdue(now + BODY_S + 1)
    assert body.came_steadily
    assert not arrival(POST + b"Content-Length: 900000\r\n\r\nabc").came_steadily


def test_threads_are_bounded_and_every_call_is_run() -> None:
    threads, go, busy = Threads(3, idle_s=0.1), threading.Event(), []
    futures = [threads.submit(lambda n: (busy.append(n), go.wait(10), n)[2], n) for n in range(10)]
    until(lambda: len(busy) == 3, what="threads", timeout_s=5)
    time.sleep(0.1)
    assert len(busy) == 3
    go.set()
    assert [future.result(10) for future in futures] == list(range(10))


def test_idle_threads_end_and_new_work_starts_new_ones() -> None:
    before = threading.active_count()
    threads = Threads(50, idle_s=0.1)
    for _ in range(3):
        ran = [threads.submit(time.sleep, 0.05) for _ in range(50)]
        assert [future.result(10) for future in ran] == [None] * 50
        until(lambda: threading.active_count() <= before, what="end of threads", timeout_s=5)


def test_what_a_call_raises_is_its_futures() -> None:
    with pytest.raises(ZeroDivisionError):
        Threads(1, idle_s=0.1).submit(lambda: 1 / 0).result(5)
