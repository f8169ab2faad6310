"""Many clients, and bad ones: the others do not notice, and nothing stays behind."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from captioner import schema
from captioner.database import Database
from captioner.wakeups import Herald, connect
from tests import crowd, stacks
from tests.bystander import bystander
from tests.integration.conftest import settings_of
from tests.pictures import plain
from tests.processes import until

LASTING = 14
"""Threads of both processes together that stay: main, watcher, listener, those that look at the
line and that store jobs; and room for a request."""


class Api:
    """An API without a worker, and the database behind it."""

    def __init__(self, stack: stacks.Stack, base: str, pid: int) -> None:
        self.base, self.pid = base, pid
        self.database = Database(stack.database_url)
        self.herald = Herald(connect(stack.environment["CAPTIONER_REDIS_URL"]))

    def job(self, caption: str = "a caption") -> str:
        """The path of a job that is finished."""
        posted = httpx.post(f"{self.base}/captionImage", files=[("images", ("a.png", plain()))])
        self.finish(1, caption=caption)
        path = posted.headers["Location"]
        assert httpx.get(self.base + path).json()["status"] == "succeeded"
        return str(path)

    def finish(self, count: int, *, caption: str = "a caption") -> int:
        return crowd.finish(self.database, self.herald, count, caption=caption)

    def rest(self, *, within_s: float = 5) -> float:
        """Wait until no request holds a thread. Returns after how many seconds."""
        began = time.monotonic()
        until(lambda: crowd.threads(self.pid) <= LASTING, what="end of threads", timeout_s=within_s)
        return time.monotonic() - began


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder: Path = tmp_path_factory.mktemp("clients")
    with stacks.started("sqlite-valkey", folder) as stack:
        schema.upgrade(settings_of(stack))
        with crowd.api(stack.environment, folder) as (base, pid):
            made = Api(stack, base, pid)
            made.job()
            yield made
            made.database.close()


SLOW = {
    "headers": crowd.get_to_the_end_of_time("/healthz"),
    "body": crowd.open_form("/captionImage")[:1000],
    "large body": crowd.open_form("/captionImage"),
}


@pytest.mark.parametrize("first", SLOW.values(), ids=SLOW)
def test_clients_that_send_slowly_are_sent_away_and_others_do_not_notice(api, first) -> None:
    with bystander(api.base + api.job()) as other:
        clients = crowd.connect(api.base, 220, first)
        crowd.drip(clients, timeout_s=30)
    print(f"\n220 slow: closed after {max(c.closed_after_s or 99 for c in clients):.1f} s; {other}")
    assert all(client.closed_after_s for client in clients)
    # 503: more large bodies than there is room for, refused before they are read.
    refused = {503} if first is SLOW["large body"] else set()
    assert {client.status for client in clients} <= {0, 408} | refused
    assert any(client.status == 408 for client in clients)
    assert not other.faults
    assert other.p99_s < 1


def test_clients_that_ask_before_they_send_take_no_threads_until_they_have_sent(api) -> None:
    api.rest()
    body = b'{"imgb64": "AA=="}'
    head = (
        b"POST /captionImage HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\nConnection: close\r\nExpect: 100-continue\r\n\r\n" % len(body)
    )
    clients = crowd.connect(api.base, 100, head)
    for client in clients:
        client.sock.setblocking(True)
        client.sock.settimeout(5)
        assert client.sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert crowd.threads(api.pid) <= LASTING
    for client in clients:
        client.sock.sendall(body)
        client.sock.setblocking(False)
    crowd.read_to_the_end(clients, timeout_s=20)
    assert {client.status for client in clients} == {415}  # it is no picture


def test_clients_that_do_not_take_a_file_hold_no_threads_for_long(api) -> None:
    api.rest()
    wanted = crowd.get("/docs/swagger-ui-bundle.js").replace(b"Connection: close\r\n", b"")
    clients = crowd.connect(api.base, 30, 3 * wanted, buffer_bytes=4096)
    until(lambda: crowd.threads(api.pid) >= 30, what="threads that wait for them")
    took_s = api.rest(within_s=20)
    print(f"\n30 take nothing of a file: no thread waits for them after {took_s:.1f} s")
    crowd.close(clients)


def test_callers_that_leave_give_their_threads_back_and_their_jobs_go_on(api) -> None:
    api.rest()
    clients = crowd.connect(api.base, 100, crowd.post("/captionImageBlocking?timeout=60"))
    until(lambda: queued(api) == 100, what="jobs")
    assert crowd.threads(api.pid) >= 100
    crowd.close(clients)
    took_s = api.rest()
    print(f"\n100 left: {crowd.threads(api.pid)} threads after {took_s:.1f} s")
    assert finish_all(api) == 100


def test_a_crowd_of_waiters_is_answered_while_others_poll(api) -> None:
    path = api.job()
    clients = crowd.connect(api.base, 200, crowd.post("/captionImageBlocking?timeout=60"))
    reader = threading.Thread(
        target=crowd.read_to_the_end, args=(clients,), kwargs={"timeout_s": 60}
    )
    reader.start()
    until(lambda: crowd.threads(api.pid) >= 200, what="waiting threads")
    time.sleep(2)
    with bystander(api.base + path) as other:
        while reader.is_alive():
            api.finish(4)
            time.sleep(0.1)
    print(f"\n200 waiting: {Counter(c.status for c in clients)}; polling: {other}")
    assert {client.status for client in clients} == {200}
    assert {client.body["status"] for client in clients} == {"succeeded"}
    assert not other.faults
    assert other.median_s < 0.1


def test_a_request_in_two_halves_and_two_requests_in_one_are_read(api) -> None:
    path = api.job()
    whole = crowd.get(path).replace(b"Connection: close\r\n", b"") + crowd.get(path)
    clients = crowd.connect(api.base, 1, whole[:30])
    time.sleep(0.2)
    clients[0].sock.setblocking(True)
    clients[0].sock.sendall(whole[30:])
    clients[0].sock.setblocking(False)
    crowd.read_to_the_end(clients, timeout_s=10)
    assert clients[0].answer.count(b"HTTP/1.1 200 OK") == 2


def test_a_process_that_is_leaving_says_that_it_is_not_ready(tmp_path) -> None:
    with stacks.started("sqlite-valkey", tmp_path) as stack:
        environment = {**stack.environment, "CAPTIONER_API_PROCESSES": "1"}
        with crowd.api(environment, tmp_path) as (base, pid), httpx.Client(base_url=base) as client:
            assert "api" not in client.get("/readyz").json()["reasons"]
            os.kill(crowd.children(pid)[0], signal.SIGTERM)
            answer = client.get("/readyz")  # on the same connection: it takes no new ones
            assert answer.status_code == 503
            assert "api" in answer.json()["reasons"]


def queued(api: Api) -> int:
    return len(httpx.get(f"{api.base}/captionImage?status=queued&limit=100").json())


def finish_all(api: Api) -> int:
    count = 0
    while done := api.finish(50):
        count += done
    return count
