"""The pipeline against a real database: what waits, what fails, what goes back."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from uuid import UUID

import pytest
from sqlalchemy import update

from captioner.clock import now_plus
from captioner.errors import ModelUnavailable, ShuttingDown, StorageUnavailable
from models import JobImage
from tests.pictures import plain
from tests.unit.piping import Bench, bench
from worker.batching import Batcher
from worker.engines.protocol import Caption
from worker.flow import Parts
from worker.pipeline import Pipeline

__all__ = ["bench"]


def test_every_picture_gets_its_caption_and_the_end_is_announced(bench: Bench) -> None:
    job_id = bench.job(*(plain(colour) for colour in ("red", "green", "blue")))
    bench.run(job_id, 0, 1, 2)
    read = bench.read(job_id)
    assert [image.caption for image in read.images] == ["a caption"] * 3
    assert {image.model_revision for image in read.images} == {"r1"}
    assert set(bench.herald.ended) == {job_id}
    assert bench.held.all() == []


def test_a_second_delivery_does_nothing(bench: Bench) -> None:
    job_id = bench.job(plain())
    bench.run(job_id, 0)
    bench.run(job_id, 0)
    assert sum(bench.house.batches) == 1


def test_a_store_that_is_away_uses_up_no_attempt(bench: Bench) -> None:
    job_id = bench.job(plain())
    bench.store.error = StorageUnavailable("away")
    for _ in range(10):
        bench.run(job_id, 0)
        assert bench.states(job_id) == ["queued"]
        bench.let_it_be_tried(job_id)
    bench.store.error = None
    bench.run(job_id, 0)
    image = bench.read(job_id).images[0]
    assert (image.state, image.lost) == ("succeeded", 0)


def test_a_store_that_stays_away_fails_the_picture_in_the_end(bench: Bench) -> None:
    job_id = bench.job(plain())
    with bench.database.write() as session:
        session.execute(update(JobImage).values(waiting_since=now_plus(-120)))
    bench.store.error = StorageUnavailable("away")
    bench.run(job_id, 0)
    assert bench.read(job_id).images[0].error_code == "storage_unavailable"


def test_a_picture_that_is_gone_fails_at_once(bench: Bench) -> None:
    job_id = bench.job(plain(), plain("blue"))
    lost = bench.read(job_id).images[0].blob_sha256
    assert lost
    (bench.settings.data_dir / "blobs" / lost[:2] / lost).unlink()
    bench.run(job_id, 0, 1)
    assert [image.error_code for image in bench.read(job_id).images] == ["picture_missing", None]


def test_a_model_that_cannot_be_loaded_fails_every_picture(bench: Bench) -> None:
    job_id = bench.job(plain(), plain("blue"))
    bench.house.refusal = ModelUnavailable("no such folder")
    bench.run(job_id, 0, 1)
    assert {image.error_code for image in bench.read(job_id).images} == {"model_unavailable"}
    assert set(bench.herald.ended) == {job_id}


@pytest.mark.parametrize("why", ["house", "batcher"])
def test_what_a_draining_worker_has_not_begun_goes_back(bench: Bench, why: str) -> None:
    job_id = bench.job(*(plain(colour) for colour in ("red", "green", "blue")))
    match why:
        case "house":
            bench.house.refusal = ShuttingDown("draining")
        case "batcher":
            bench.house.batcher.close()
    bench.run(job_id, 0, 1, 2)
    read = bench.read(job_id)
    assert {(image.state, image.lost) for image in read.images} == {("queued", 0)}
    assert all(image.published_at is None for image in read.images)
    assert bench.held.all() == []


def test_a_draining_worker_takes_nothing(bench: Bench) -> None:
    job_id = bench.job(plain())
    bench.draining.set()
    with pytest.raises(ShuttingDown):
        bench.run(job_id, 0)
    image = bench.read(job_id).images[0]
    assert (image.state, image.attempt) == ("queued", 0)


def lines_about(job_id: UUID, caplog: pytest.LogCaptureFixture) -> set[str]:
    """What happened, by the lines that name this job."""
    named = [line for line in caplog.records if vars(line).get("job_id") == str(job_id)]
    return {str(vars(line)["action"]) for line in named}


def test_a_damaged_picture_fails_alone(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    whole = plain(width=200, height=200)
    job_id = bench.job(plain("blue"), whole[: len(whole) // 2])
    bench.run(job_id, 0, 1)
    codes = [image.error_code for image in bench.read(job_id).images]
    assert codes[0] is None
    assert codes[1] in ("image_truncated", "image_undecodable")
    assert lines_about(job_id, caplog) == {"image_bad"}


def test_an_engine_that_raises_is_told_with_the_job(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def raises(group: object, pictures: list) -> list[Caption]:
        raise ValueError("no such layer")

    bench.house.batcher = Batcher(raises, max_batch=8)
    job_id = bench.job(plain())
    bench.run(job_id, 0)
    assert bench.read(job_id).images[0].error_code == "caption_failed"
    assert lines_about(job_id, caplog) == {"caption_failed"}


def test_a_picture_for_which_memory_is_short_waits(bench: Bench) -> None:
    short = [True]

    def run(_group: object, pictures: list) -> list[Caption]:
        if short[0]:
            raise MemoryError("others have it")
        return [Caption("a caption", (1,)) for _ in pictures]

    bench.house.batcher = Batcher(run, max_batch=8)
    job_id = bench.job(*(plain(colour) for colour in ("red", "green", "blue")))
    bench.run(job_id, 0, 1, 2)
    assert bench.states(job_id) == ["queued"] * 3
    bench.let_it_be_tried(job_id)
    short[0] = False
    bench.run(job_id, 0, 1, 2)
    images = bench.read(job_id).images
    assert [(image.state, image.lost) for image in images] == [("succeeded", 0)] * 3


def test_a_picture_that_no_memory_is_enough_for_fails_in_the_end(bench: Bench) -> None:
    def run(_group: object, _pictures: list) -> list[Caption]:
        raise MemoryError

    bench.house.batcher = Batcher(run, max_batch=8)
    job_id = bench.job(plain())
    with bench.database.write() as session:
        session.execute(update(JobImage).values(waiting_since=now_plus(-120)))
    bench.run(job_id, 0)
    assert bench.read(job_id).images[0].error_code == "model_not_ready"


def test_a_result_that_cannot_be_stored_fails_alone(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def run(_group: object, pictures: list) -> list[Caption]:
        return [Caption("a secret", (1,), score) for score in (-1.0, "none", -2.0)[: len(pictures)]]

    bench.house.batcher = Batcher(run, max_batch=8)
    job_id = bench.job(*(plain(colour) for colour in ("red", "green", "blue")))
    bench.run(job_id, 0, 1, 2)
    images = bench.read(job_id).images
    assert sorted(image.state for image in images) == ["failed", "succeeded", "succeeded"]
    (failed,) = (image for image in images if image.state == "failed")
    assert (failed.error_code, failed.lost) == ("caption_failed", 0)
    assert failed.error_detail == "Its result could not be stored (TypeError)."
    assert "a secret" not in caplog.text
    assert bench.held.all() == []


def test_pictures_that_lost_an_attempt_are_worked_on_one_at_a_time(bench: Bench) -> None:
    job_id = bench.job(*(plain(colour) for colour in ("red", "green", "blue")))
    bench.let_it_be_tried(job_id, lost=1)
    most = 0
    looked = threading.Event()

    def look() -> None:
        nonlocal most
        while not looked.is_set():
            most = max(most, len(bench.held.all()))

    watcher = threading.Thread(target=look)
    watcher.start()
    threads = [
        threading.Thread(target=bench.run, args=(job_id, n), kwargs={"again": True})
        for n in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    looked.set()
    watcher.join()
    assert bench.states(job_id) == ["succeeded"] * 3
    assert bench.house.batches == [1, 1, 1]
    assert most == 1


def test_a_decoder_that_fails_is_not_the_pictures_fault(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def submit(self, data: bytes, **_: object) -> Future:
            future: Future = Future()
            future.set_exception(OSError("no memory for pixels"))
            return future

    make: Callable[..., Parts] = Parts
    parts = make(**{**vars(bench.pipeline._parts), "decoders": Broken()})
    job_id = bench.job(plain())
    Pipeline(parts).run("scenes", limit=1)
    image = bench.read(job_id).images[0]
    assert (image.state, image.lost, image.error_code) == ("queued", 0, None)
    assert lines_about(job_id, caplog) == {"decode_failed"}
