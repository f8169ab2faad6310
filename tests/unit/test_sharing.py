"""Identical pictures that are in flight run once; whoever leaves takes nothing from the others."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from tests.pictures import plain
from tests.processes import until
from tests.unit.piping import Bench as Line
from worker.batching import Batcher, Done
from worker.decode_pool import DecodePool
from worker.engines.protocol import Caption
from worker.engines.wishes import Wish
from worker.sharing import Sharing

WAIT_S = 10
PIXELS = np.zeros((8, 8, 3), np.uint8)


@dataclass
class Bench:
    """A batcher whose runs wait for the gate, and the pictures that share it."""

    sharing: Sharing = field(default_factory=Sharing)
    ran: list[int] = field(default_factory=list)
    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    gate: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.batcher: Batcher = Batcher(self._run, max_batch=4)

    def _run(self, _group: object, wishes: list[Wish]) -> list[Caption | None]:
        self.ran.append(len(wishes))
        self.entered.release()
        assert self.gate.wait(WAIT_S)
        if self.error is not None:
            raise self.error
        return [None if wish.halt.done() else Caption("a caption", (1,)) for wish in wishes]

    def submit(self, key: str = "one", halt: Future | None = None) -> "Future[Done]":
        wish = Wish(PIXELS, Future() if halt is None else halt)
        return self.sharing.submit(self.batcher, wish, key=key)

    def occupy(self) -> "Future[Done]":
        """Keep the batcher busy, so that what comes next waits."""
        future = self.submit("the first")
        self.entered.acquire(timeout=WAIT_S)
        return future


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.gate.set()
    made.batcher.close()


def text(future: "Future[Done]") -> str | None:
    result = future.result(WAIT_S).result
    return result and result.text


def test_pictures_that_wait_and_one_that_comes_while_they_run_share_one_run(bench) -> None:
    first, second = bench.submit(), bench.submit()
    bench.entered.acquire(timeout=WAIT_S)
    late = bench.submit()
    bench.gate.set()
    assert [text(each) for each in (first, second, late)] == ["a caption"] * 3
    assert bench.ran == [1]


def test_other_pictures_run_for_themselves(bench) -> None:
    bench.gate.set()
    futures = [bench.submit(key) for key in ("one", "two", "three")]
    assert [text(each) for each in futures] == ["a caption"] * 3
    assert sum(bench.ran) == 3


def test_a_picture_that_comes_afterwards_is_captioned_anew(bench) -> None:
    bench.gate.set()
    assert text(bench.submit()) == text(bench.submit()) == "a caption"
    assert bench.ran == [1, 1]


def test_one_who_leaves_while_it_waits_takes_nothing_from_the_others(bench) -> None:
    bench.occupy()
    leaving, staying = bench.submit(), bench.submit()
    assert leaving.cancel()
    bench.gate.set()
    assert text(staying) == "a caption"
    assert leaving.cancelled()


def test_the_last_to_leave_takes_the_run_out_of_the_batcher(bench) -> None:
    busy = bench.occupy()
    waiting = [bench.submit(), bench.submit()]
    assert all(each.cancel() for each in waiting)
    again = bench.submit()
    bench.gate.set()
    assert text(again) == text(busy) == "a caption"
    assert bench.ran == [1, 1]


def test_one_who_leaves_a_run_goes_at_once_and_the_last_one_not_before_it_ends(bench) -> None:
    halts = [Future(), Future()]
    first, last = (bench.submit(halt=halt) for halt in halts)
    bench.entered.acquire(timeout=WAIT_S)
    for halt in halts:
        halt.set_result("canceled")
    assert first.cancel()
    assert not last.cancel()
    bench.gate.set()
    assert text(last) is None


@pytest.mark.parametrize("halted", [0, 1])
def test_one_who_is_halted_does_not_stop_the_engine_for_the_other(bench, halted) -> None:
    halts = [Future(), Future()]
    futures = [bench.submit(halt=halt) for halt in halts]
    bench.entered.acquire(timeout=WAIT_S)
    halts[halted].set_result("canceled")
    bench.gate.set()
    assert text(futures[1 - halted]) == "a caption"


def test_nobody_joins_a_run_that_is_being_stopped(bench) -> None:
    halt: Future = Future()
    stopped = bench.submit(halt=halt)
    bench.entered.acquire(timeout=WAIT_S)
    halt.set_result("canceled")
    late = bench.submit()
    bench.gate.set()
    assert (text(stopped), text(late)) == (None, "a caption")
    assert bench.ran == [1, 1]


def test_what_a_run_raises_each_is_told(bench) -> None:
    bench.error = ValueError("bad")
    futures = [bench.submit(), bench.submit()]
    bench.gate.set()
    for future in futures:
        with pytest.raises(ValueError, match="bad"):
            future.result(WAIT_S)


def test_many_threads_that_come_and_go_all_get_an_answer_or_leave(bench) -> None:
    bench.gate.set()
    ended: list[str] = []

    def come(number: int) -> None:
        future = bench.submit(str(number % 3))
        if number % 4 == 0 and future.cancel():
            ended.append("left")
        else:
            ended.append(str(text(future)))

    threads = [threading.Thread(target=come, args=(n,)) for n in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert len(ended) == 200
    assert set(ended) <= {"left", "a caption"}


def test_nothing_is_shared_where_that_is_off() -> None:
    bench = Bench(Sharing(on=False))
    bench.gate.set()
    assert text(bench.submit()) == text(bench.submit()) == "a caption"
    bench.batcher.close()
    assert sum(bench.ran) == 2


class Counting(Sharing):
    """Counts those who have come."""

    came = 0

    def submit(self, *arguments, **named) -> Future:
        future = super().submit(*arguments, **named)
        self.came += 1
        return future


@pytest.fixture
def line(tmp_path: Path, decoders: DecodePool, bench: Bench) -> Iterator[Line]:
    """A pipeline whose engine waits for the bench's gate."""
    made = Line(tmp_path, decoders, sharing=Counting())
    made.house.batcher.close()
    made.house.batcher = bench.batcher
    yield made
    made.database.close()


def test_two_jobs_with_one_picture_run_the_engine_once_and_each_has_its_caption(line, bench):
    ids = [line.job(plain()), line.job(plain())]
    threads = [threading.Thread(target=line.run, args=(each, 0)) for each in ids]
    for thread in threads:
        thread.start()
    until(lambda: line.sharing.came == 2, what="second picture")
    bench.gate.set()
    for thread in threads:
        thread.join(WAIT_S)
    images = [line.read(each).images[0] for each in ids]
    assert [image.caption for image in images] == ["a caption"] * 2
    assert bench.ran == [1]


def test_a_picture_that_lost_an_attempt_shares_with_nobody(line, bench) -> None:
    bench.gate.set()
    job_id = line.job(plain())
    line.let_it_be_tried(job_id, lost=1)
    line.run(job_id, 0, again=True)
    assert line.states(job_id) == ["succeeded"]
    assert line.sharing.came == 0
