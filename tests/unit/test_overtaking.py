"""A small job does not wait until a worker that is full has room; a large one does."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from uuid import UUID

import pytest

from captioner.errors import ShuttingDown
from captioner.jobs.ranking import FEW
from tests.pictures import plain
from tests.processes import until
from tests.unit.piping import Bench
from worker.batching import Batcher
from worker.decode_pool import DecodePool
from worker.engines.protocol import Caption
from worker.overtaking import PART, Overtaking
from worker.room import BATCHES

WAIT_S = 20


class Full:
    """A worker with as many images in hand as it takes, and its first batch at a gate."""

    def __init__(self, folder: Path, decoders: DecodePool) -> None:
        self.bench = Bench(folder, decoders)
        self.gate, self.colours = threading.Event(), count()
        self.bench.house.batcher.close()
        self.bench.house.batcher = Batcher(self._run, max_batch=8)
        self.bench.house.waits_for = lambda model: False
        parts = self.bench.pipeline._parts
        self.overtaking = Overtaking(parts, self.bench.pipeline)
        self.room = BATCHES * parts.settings.max_batch
        self.threads: list[threading.Thread] = []

    def _run(self, _group: object, wishes: list) -> list[Caption]:
        assert self.gate.wait(WAIT_S)
        return [Caption("a caption", (1,))] * len(wishes)

    def job(self, images: int) -> UUID:
        return self.bench.job(*(plain(f"#{next(self.colours):06x}") for _ in range(images)))

    def message(self, images: int) -> None:
        def run() -> None:
            with suppress(ShuttingDown):
                self.bench.pipeline.run("scenes", limit=images)

        thread = threading.Thread(target=run)
        thread.start()
        self.threads.append(thread)

    def fill(self) -> UUID:
        large = self.job(self.room + 16)
        for _ in range(self.room // 16):
            self.message(16)
        until(lambda: len(self.bench.held.all()) == self.room, what="full worker")
        return large

    def crowd(self) -> None:
        self.message(16)
        until(lambda: self.bench.pipeline.crowded, what="message that waits")

    def end(self) -> None:
        self.gate.set()
        for thread in self.threads:
            thread.join(WAIT_S)
            assert not thread.is_alive()
        self.overtaking.close()


@pytest.fixture
def full(tmp_path: Path, decoders: DecodePool) -> Iterator[Full]:
    made = Full(tmp_path, decoders)
    yield made
    made.gate.set()
    made.bench.house.batcher.close()
    made.bench.database.close()


def test_a_small_job_is_begun_beside_what_a_full_worker_has_in_hand(full) -> None:
    large = full.fill()
    full.crowd()
    single = full.job(1)
    full.overtaking.look()
    until(lambda: full.bench.states(single) == ["running"], what="start of the single picture")
    full.gate.set()
    until(lambda: full.bench.states(single) == ["succeeded"], what="its caption")
    full.end()
    assert set(full.bench.states(large)) == {"succeeded"}


def test_where_no_message_waits_the_small_jobs_own_is_soon_enough(full) -> None:
    full.fill()
    single = full.job(1)
    full.overtaking.look()
    full.overtaking.close()
    assert full.bench.states(single) == ["queued"]
    full.end()


@pytest.mark.parametrize("images", [1, FEW])
def test_nothing_of_a_large_job_is_begun_with_a_small_one(full, images) -> None:
    """It would hold one of the few threads until its turn comes."""
    large = full.fill()
    full.crowd()
    small = full.job(images)
    full.overtaking.look()
    until(lambda: set(full.bench.states(small)) == {"running"}, what="start of the small job")
    assert full.bench.states(large).count("running") == full.room
    full.end()


@pytest.mark.parametrize("images", [FEW + 1, 40])
def test_a_job_that_is_not_small_waits_for_room(full, images) -> None:
    full.fill()
    full.crowd()
    other = full.job(images)
    full.overtaking.look()
    full.overtaking.close()  # what was begun has ended
    assert set(full.bench.states(other)) == {"queued"}
    full.end()


def test_a_worker_that_leaves_begins_nothing(full) -> None:
    full.fill()
    full.crowd()
    single = full.job(1)
    full.bench.draining.set()
    full.overtaking.look()
    full.overtaking.close()
    assert full.bench.states(single) == ["queued"]
    full.end()


def test_where_batches_take_long_it_looks_a_part_of_a_batch_later(full) -> None:
    full.bench.house.batch_s = lambda: PART * 0.5
    full.fill()
    full.crowd()
    full.overtaking.look()
    looked = time.monotonic()
    single = full.job(1)

    def begun() -> bool:
        full.overtaking.look()
        return full.bench.states(single) == ["running"]

    until(begun, what="start of the single picture")
    assert time.monotonic() - looked >= 0.4
    full.end()
