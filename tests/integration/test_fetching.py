"""Pictures by URL in one process: what is fetched, what waits, what is given up and stopped."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import update

from captioner import jobs
from captioner.work import Parcel
from models import JobImage, JobState
from tests.integration.fetching import Bench, Silence
from tests.integration.rows import claim, expire, model_of, state
from tests.picture_server import PictureServer, serving
from tests.pictures import plain
from tests.processes import until
from worker.halting import Halting


@pytest.fixture
def host() -> Iterator[PictureServer]:
    with serving() as server:
        yield server


@pytest.fixture
def bench(stack, database, tmp_path, host) -> Iterator[Bench]:
    made = Bench(stack, database, tmp_path, host)
    yield made
    made.fetching.close()


def test_a_fetched_picture_is_stored_and_queued_with_a_message_of_its_own(bench: Bench) -> None:
    data = plain()
    job_id = bench.job(bench.host.add("/a.png", data))
    bench.fetch(job_id)
    (image,) = bench.images(job_id)
    assert (image.state, image.lost, image.fetch_failures) == ("queued", 0, 0)
    assert bench.store.get(str(image.blob_sha256)) == data
    assert bench.outbox.parcels == [Parcel(job_id, model_of(job_id), (0,))]
    assert image.published_at is not None
    with bench.database.write() as session:
        (taken,) = claim(session, job_id, 0)
    assert taken.blob_sha256 == image.blob_sha256


@pytest.mark.parametrize(
    "page",
    [{"after_s": 10}, {"then_s": 10, "headers": {"Content-Length": "9"}}],
    ids=["before the headers", "within the body"],
)
def test_a_cancel_breaks_off_a_fetch(bench: Bench, page: dict[str, Any]) -> None:
    job_id = bench.job(bench.host.add("/slow.png", b"1234", **page))
    bench.fetching.begin(model_of(job_id))
    until(lambda: bench.host.calls["/slow.png"] == 1, what="call")
    time.sleep(0.3)
    with bench.database.write() as session:
        assert jobs.cancel(session, job_id) is JobState.CANCELING
    began = time.monotonic()
    silence: Any = Silence()
    Halting(bench.database, bench.held, silence).look()
    until(lambda: not bench.held.all(), what="end of the fetch")
    assert time.monotonic() - began < 1
    (image,) = bench.images(job_id)
    assert (image.state, image.error_code) == ("canceled", "canceled")


def test_an_image_whose_picture_is_not_here_is_not_captioned(bench: Bench) -> None:
    job_id = bench.job(bench.host.add("/a.png", plain()))
    with bench.database.write() as session:
        assert claim(session, job_id, 0) == []


def test_a_picture_is_fetched_once(bench: Bench) -> None:
    job_id = bench.job(*(bench.host.add(f"/{n}.png", plain()) for n in range(20)))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: bench.fetching.begin(model_of(job_id)), range(50)))
    bench.fetch(job_id)
    bench.fetch(job_id)
    assert set(bench.host.calls.values()) == {1}
    assert len(bench.host.calls) == 20
    assert sorted(n for parcel in bench.outbox.parcels for n in parcel.positions) == [*range(20)]


def test_no_more_hosts_are_called_at_once_than_allowed(bench: Bench) -> None:
    job_id = bench.job(*(bench.host.add(f"/{n}.png", plain(), after_s=1.5) for n in range(12)))
    bench.fetch(job_id)
    assert bench.host.most_at_once == 4
    assert sum(bench.host.calls.values()) == 12


def test_slow_hosts_of_one_job_hold_up_no_other_job_for_long(bench: Bench) -> None:
    slow = [bench.host.add(f"/{n}.png", plain(), after_s=1) for n in range(16)]
    large = bench.job(*slow, pace_s=0.001)
    bench.fetching.begin(model_of(large))
    until(lambda: sum(bench.host.calls.values()) == 4, what="four calls")
    urls = [bench.host.add(f"/quick-{n}.png", plain()) for n in range(2)]
    later = [bench.job(url, model=model_of(large)) for url in urls]
    until(
        lambda: all(each.blob_sha256 for job_id in later for each in bench.images(job_id)),
        what="the later jobs' pictures",
    )
    assert sum(image.blob_sha256 is not None for image in bench.images(large)) < 9
    bench.fetch(large)  # which has all places again
    assert bench.host.most_at_once == 4
    assert sum(bench.host.calls.values()) == 18


def test_a_host_that_is_away_is_tried_again_later_and_given_up_in_the_end(bench: Bench) -> None:
    job_id = bench.job(bench.host.add("/a.png", status=503))
    waits = []
    for tries in range(1, 4):
        bench.fetch(job_id)
        (image,) = bench.images(job_id)
        assert (image.state, image.fetch_failures, image.lost) == ("queued", tries, 0)
        assert image.not_before
        assert image.started_at
        waits.append((image.not_before - image.started_at).total_seconds())
        bench.let_it_be_tried(job_id)
    # The pause, exactly, and how long the fetch before it took.
    assert all(0 <= wait - due < 3 for wait, due in zip(waits, [5, 20, 80], strict=True)), waits
    bench.fetch(job_id)
    (image,) = bench.images(job_id)
    assert (image.state, image.error_code) == ("failed", "url_fetch_failed")
    assert "4 times" in str(image.error_detail)
    assert state(bench.database, job_id) is JobState.FAILED
    assert bench.host.calls["/a.png"] == 4


def test_a_host_that_comes_back_costs_nothing(bench: Bench) -> None:
    job_id = bench.job(bench.host.add("/a.png", status=503))
    bench.fetch(job_id)
    bench.host.add("/a.png", plain())
    bench.let_it_be_tried(job_id)
    bench.fetch(job_id)
    assert bench.images(job_id)[0].blob_sha256


def test_a_store_that_is_away_is_not_the_hosts_fault(bench: Bench) -> None:
    job_id = bench.job(bench.host.add("/a.png", plain()))
    bench.store.away = True
    bench.fetch(job_id)
    (image,) = bench.images(job_id)
    assert (image.state, image.lost, image.fetch_failures) == ("queued", 0, 0)
    bench.store.away = False
    bench.let_it_be_tried(job_id)
    bench.fetch(job_id)
    assert bench.images(job_id)[0].blob_sha256


def test_what_cannot_be_mended_fails_at_once_and_alone(bench: Bench) -> None:
    add = bench.host.add
    job_id = bench.job(
        add("/good.png", plain()),
        bench.host.url("/none.png"),
        add("/page.html", b"<html>no picture</html>"),
        add("/cut.png", plain(width=400, height=400)[:20]),
        add("/large.png", b"x", headers={"Content-Length": str(15_000_001)}),
        add("/inside", status=302, headers={"Location": "http://127.0.0.2/"}),
        f"http://127.0.0.1:{bench.host.port + 1}/",
    )
    bench.fetch(job_id)
    assert [image.error_code for image in bench.images(job_id)] == [
        None,
        "url_fetch_failed",
        "unsupported_image_format",
        "image_truncated",
        "image_too_many_bytes",
        "url_not_allowed",
        "url_not_allowed",
    ]
    assert [image.state for image in bench.images(job_id)] == ["queued", *["failed"] * 6]


def test_a_cancel_stops_those_that_wait_at_once_and_the_others_when_they_are_here(
    bench: Bench,
) -> None:
    urls = [bench.host.add(f"/{n}.png", plain(), after_s=1) for n in range(10)]
    job_id = bench.job(*urls)
    bench.fetching.begin(model_of(job_id))
    until(lambda: sum(bench.host.calls.values()) == 4, what="four calls")
    with bench.database.write() as session:
        assert jobs.cancel(session, job_id) is JobState.CANCELING
    assert sum(image.state == "canceled" for image in bench.images(job_id)) == 6
    until(lambda: state(bench.database, job_id) is JobState.CANCELED, what="end of the job")
    assert sum(bench.host.calls.values()) == 4
    assert bench.outbox.parcels == []


def test_a_draining_worker_begins_no_fetch_and_ends_those_under_way(bench: Bench) -> None:
    urls = [bench.host.add(f"/{n}.png", plain(), after_s=0.5) for n in range(10)]
    job_id = bench.job(*urls)
    bench.fetching.begin(model_of(job_id))
    until(lambda: sum(bench.host.calls.values()) == 4, what="four calls")
    bench.draining.set()
    bench.fetching.begin(model_of(job_id))
    bench.fetching.close()
    assert sum(bench.host.calls.values()) == 4
    assert sum(image.blob_sha256 is not None for image in bench.images(job_id)) == 4
    assert {(image.state, image.lost) for image in bench.images(job_id)} == {("queued", 0)}
    assert bench.held.all() == []


def test_a_fetch_that_was_taken_over_changes_nothing(bench: Bench) -> None:
    job_id = bench.job(bench.host.add("/a.png", plain(), after_s=1))
    bench.fetching.begin(model_of(job_id))
    until(lambda: bench.host.calls["/a.png"] == 1, what="call")
    expire(bench.database, job_id)
    with bench.database.write() as session:
        jobs.take_back_expired(session, max_attempts=3)
    until(lambda: not bench.held.all(), what="end of the fetch")
    (image,) = bench.images(job_id)
    assert (image.state, image.lost, image.blob_sha256) == ("queued", 1, None)
    assert bench.outbox.parcels == []


def test_an_image_that_lost_an_attempt_is_fetched_by_the_message_that_names_it(
    bench: Bench,
) -> None:
    job_id = bench.job(bench.host.add("/a.png", plain()))
    with bench.database.write() as session:
        session.execute(update(JobImage).where(JobImage.job_id == job_id).values(lost=1))
    bench.fetching.begin(model_of(job_id))
    bench.fetching.again(job_id, [0], model=model_of(job_id))
    (image,) = bench.images(job_id)
    assert image.blob_sha256
    assert bench.host.calls["/a.png"] == 1
    assert bench.outbox.parcels == [Parcel(job_id, model_of(job_id), (0,), again=True)]


def test_a_retried_job_does_not_fetch_what_is_stored(bench: Bench) -> None:
    job_id = bench.job(bench.host.add("/a.png", plain()), bench.host.url("/late.png"))
    bench.fetch(job_id)
    with bench.database.write() as session:
        jobs.cancel(session, job_id)
        bench.host.add("/late.png", plain("blue"))
        assert jobs.retry(session, job_id) == [0, 1]
    bench.fetch(job_id)
    assert all(image.blob_sha256 for image in bench.images(job_id))
    assert bench.host.calls == {"/a.png": 1, "/late.png": 2}
