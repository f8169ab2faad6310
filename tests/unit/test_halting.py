"""What a worker holds and nobody wants any more is stopped, and says so only once it is."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import delete, update

from captioner import jobs
from captioner.clock import now_plus
from captioner.images import Resampling
from captioner.options import PLAIN, Options
from models import Job, JobImage
from tests.pictures import plain
from tests.processes import until
from tests.unit.decoding import picture
from tests.unit.piping import Bench
from worker.batching import Batcher
from worker.decode_pool import DecodePool
from worker.engines.protocol import Caption, Stopped
from worker.engines.wishes import Wish, captions
from worker.halting import Halting
from worker.pipeline import Pipeline

COLOURS = ("red", "green", "blue", "white", "black", "grey")


class SlowEngine:
    """Takes a hundred steps for a batch, and asks at each what is stopped. Or never asks."""

    image_size = (8, 8)
    resampling = Resampling.BICUBIC
    revision = "slow"

    def __init__(self, *, asks: bool = True) -> None:
        self.asks = asks
        self.steps = 100
        self.entered = threading.Event()
        self.batches: list[int] = []

    def caption(
        self, pictures: list, options: Options, *, stopped: Stopped
    ) -> list[Caption | None]:
        cut = [False] * len(pictures)
        self.batches.append(len(pictures))
        self.entered.set()
        for _ in range(self.steps):
            time.sleep(0.02)
            if self.asks:
                cut = [was or now for was, now in zip(cut, stopped(), strict=True)]
            if all(cut):
                break
        return [None if each else Caption("a caption", (1,)) for each in cut]


class SlowBench(Bench):
    """A pipeline whose engine is slow, with what halts its work."""

    def __init__(self, folder: Path, decoders: DecodePool) -> None:
        super().__init__(folder, decoders)
        self.engine = SlowEngine()

        def run(_group: object, wishes: list[Wish]) -> list[Caption | None]:
            return captions(self.engine, wishes, PLAIN)

        self.house.batcher.close()
        self.house.engine = self.engine
        self.house.batcher = Batcher(run, max_batch=2)
        self.halting = Halting(self.database, self.held, self.herald)

    def cancel(self, job_id: UUID) -> None:
        with self.database.write() as session:
            jobs.cancel(session, job_id)

    def state(self, job_id: UUID) -> str:
        return self.read(job_id).job.state


@pytest.fixture
def bench(tmp_path: Path, decoders: DecodePool) -> Iterator[SlowBench]:
    made = SlowBench(tmp_path, decoders)
    yield made
    made.house.batcher.close()
    made.database.close()


@pytest.fixture
def begin(bench: SlowBench) -> Iterator[Callable[..., threading.Thread]]:
    """Work on the images in a thread, which ends with the test; return once a batch runs."""
    threads = []

    def begun(job_id: UUID, *positions: int) -> threading.Thread:
        thread = threading.Thread(target=bench.run, args=(job_id, *positions))
        threads.append(thread)
        thread.start()
        assert bench.engine.entered.wait(10)
        return thread

    yield begun
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def test_a_canceled_job_stops_in_the_middle_of_a_batch(bench, begin) -> None:
    job_id = bench.job(*(plain(colour) for colour in COLOURS))
    thread = begin(job_id, *range(6))
    bench.cancel(job_id)
    assert bench.state(job_id) == "canceling"
    asked = time.monotonic()
    bench.halting.look()
    thread.join(10)
    stopped_s = time.monotonic() - asked
    assert bench.state(job_id) == "canceled"
    images = bench.read(job_id).images
    assert {(image.state, image.error_code) for image in images} == {("canceled", "canceled")}
    assert bench.engine.batches in ([1], [2])  # the one batch that ran
    assert bench.held.all() == []
    assert job_id in bench.herald.ended
    print(f"stopped {stopped_s:.3f} s after the look")
    assert stopped_s < 1.5


def test_it_is_canceling_for_as_long_as_an_engine_does_not_stop(bench, begin) -> None:
    bench.engine.asks = False
    job_id = bench.job(*(plain(colour) for colour in COLOURS))
    thread = begin(job_id, *range(6))
    bench.cancel(job_id)
    bench.halting.look()
    until(lambda: bench.states(job_id).count("canceled") >= 4, what="end of what was waiting")
    assert bench.state(job_id) == "canceling"
    thread.join(10)
    assert bench.state(job_id) == "canceled"  # and the captions that were made are kept
    assert {image.state for image in bench.read(job_id).images} == {"succeeded", "canceled"}
    assert len(bench.engine.batches) == 1


def test_another_job_in_the_same_batch_gets_its_caption(bench, begin) -> None:
    first, kept, dropped = (bench.job(plain(colour)) for colour in COLOURS[:3])
    begin(first, 0)
    both = [begin(job_id, 0) for job_id in (kept, dropped)]
    until(lambda: bench.engine.batches == [1, 2], what="batch of two")
    bench.cancel(dropped)
    bench.halting.look()
    for thread in both:
        thread.join(10)
    assert bench.states(kept) == ["succeeded"]
    assert bench.states(dropped) == ["canceled"]


def test_a_deadline_is_kept_while_the_work_goes_on(bench, begin) -> None:
    job_id = bench.job(plain())
    thread = begin(job_id, 0)
    bench.halting.look()
    assert bench.state(job_id) == "running"
    with bench.database.write() as session:
        session.execute(update(Job).values(deadline_at=now_plus(-0.001)))
    bench.halting.look()
    thread.join(10)
    assert bench.state(job_id) == "expired"
    assert bench.read(job_id).images[0].error_code == "deadline_passed"


@pytest.mark.parametrize("how", ["deleted", "taken over"])
def test_work_that_another_has_or_that_is_gone_stops_and_changes_nothing(bench, begin, how) -> None:
    job_id = bench.job(plain())
    thread = begin(job_id, 0)
    with bench.database.write() as session:
        if how == "deleted":
            session.execute(delete(JobImage))
        else:
            session.execute(update(JobImage).values(attempt=JobImage.attempt + 1))
    bench.halting.look()
    began = time.monotonic()
    thread.join(10)
    assert time.monotonic() - began < 1.5  # of the two seconds that the batch takes
    if how == "taken over":
        assert bench.states(job_id) == ["running"]
        assert bench.state(job_id) == "running"


def test_a_picture_whose_decoding_has_not_begun_is_skipped(bench, tmp_path: Path) -> None:
    class Full:
        """A decode pool that never gets to it."""

        asked: list[Future] = []  # noqa: RUF012

        def submit(self, data: bytes, **_: object) -> Future:
            self.asked.append(Future())
            return self.asked[-1]

    make = type(bench.pipeline._parts)
    full = Full()
    parts = make(**{**vars(bench.pipeline._parts), "decoders": full})
    large = [picture(seed, 400, 300) for seed in range(6)]  # small ones are all asked for at once
    job_id = bench.job(*large)
    thread = threading.Thread(target=Pipeline(parts).run, args=("scenes",), kwargs={"limit": 6})
    thread.start()
    until(lambda: len(full.asked) == bench.settings.decode_processes, what="full pool")
    bench.cancel(job_id)
    bench.halting.look()
    thread.join(5)
    assert bench.states(job_id) == ["canceled"] * 6
    assert all(future.cancelled() for future in full.asked)
    assert len(full.asked) == bench.settings.decode_processes


def test_nothing_is_asked_while_nothing_is_held(bench) -> None:
    bench.database.close()
    (bench.settings.data_dir / "captioner.db").unlink()
    bench.halting.look()
    assert not (bench.settings.data_dir / "captioner.db").exists()
