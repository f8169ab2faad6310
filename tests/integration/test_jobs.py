"""Every change of state is conditional: nothing is counted twice, nothing is overwritten."""

import threading
from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from captioner import jobs, queries
from captioner.clock import now, now_plus
from captioner.database import Database
from captioner.errors import CaptionFailed, ImageTruncated
from captioner.work import Claim, Outcome, Parcel, Picture
from models import Blob, ImageState, JobImage, JobState

SHA = "a" * 64


@pytest.fixture
def make(database: Database) -> Callable[..., UUID]:
    """A job with so many images, of which some are refused."""

    def made(images: int, *, refused: int = 0) -> UUID:
        job_id = uuid7()
        pictures = [Picture(f"{n}.png", SHA) for n in range(images - refused)]
        pictures += [Picture("bad", None, ImageTruncated("cut"))] * refused
        with database.write() as session:
            if session.get(Blob, SHA) is None:
                session.add(
                    Blob(
                        sha256=SHA,
                        media_type="image/png",
                        bytes=1,
                        width=8,
                        height=8,
                        created_at=now(),
                    )
                )
            jobs.create(session, job_id=job_id, model="scenes", prompt=None, pictures=pictures)
        return job_id

    return made


def claim(session: Session, job_id: UUID, *positions: int, lease_s: float = 60) -> list[Claim]:
    return jobs.claim(
        session, job_id=job_id, positions=positions, worker="w", lease_s=lease_s, max_attempts=3
    )


def state(database: Database, job_id: UUID) -> JobState:
    with database.read() as session:
        found = queries.job(session, job_id)
        assert found is not None
        return JobState(found.job.state)


def expire(database: Database, job_id: UUID) -> None:
    with database.write() as session:
        session.execute(
            update(JobImage).where(JobImage.job_id == job_id).values(lease_until=now_plus(-1))
        )


def test_a_job_runs_when_claimed_and_ends_when_its_last_image_does(database, make) -> None:
    job_id = make(2)
    assert state(database, job_id) == JobState.QUEUED
    with database.write() as session:
        first, second = claim(session, job_id, 0, 1)
    assert state(database, job_id) == JobState.RUNNING
    with database.write() as session:
        assert jobs.finish(session, [Outcome(first, caption="one")]) == []
    assert state(database, job_id) == JobState.RUNNING
    with database.write() as session:
        assert jobs.finish(session, [Outcome(second, caption="two")]) == [job_id]
    assert state(database, job_id) == JobState.SUCCEEDED


@pytest.mark.parametrize(
    ("refused", "failing", "expected"),
    [
        (0, 0, JobState.SUCCEEDED),
        (1, 0, JobState.PARTIAL),
        (0, 1, JobState.PARTIAL),
        (1, 2, JobState.FAILED),
        (0, 3, JobState.FAILED),
    ],
)
def test_a_jobs_state_follows_from_its_images(database, make, refused, failing, expected) -> None:
    job_id = make(3, refused=refused)
    with database.write() as session:
        claims = claim(session, job_id, 0, 1, 2)
        jobs.finish(
            session,
            [
                Outcome(c, error=CaptionFailed("no")) if n < failing else Outcome(c, caption="yes")
                for n, c in enumerate(claims)
            ],
        )
    assert state(database, job_id) == expected


def test_an_image_is_claimed_once(database, make) -> None:
    job_id = make(1)
    with database.write() as session:
        assert len(claim(session, job_id, 0)) == 1
        assert claim(session, job_id, 0) == []


def test_a_late_result_changes_nothing(database, make) -> None:
    job_id = make(1)
    with database.write() as session:
        (slow,) = claim(session, job_id, 0)
    expire(database, job_id)
    with database.write() as session:
        (quick,) = claim(session, job_id, 0)
        assert quick.attempt == 2
        assert quick.alone
        jobs.finish(session, [Outcome(quick, caption="right")])
        assert jobs.finish(session, [Outcome(slow, caption="late")]) == []
        assert jobs.finish(session, [Outcome(quick, caption="twice")]) == []
    with database.read() as session:
        read = queries.job(session, job_id)
        assert read is not None
        assert read.images[0].caption == "right"
        assert read.job.succeeded_count == 1


def test_an_image_whose_workers_die_is_given_up_in_the_end(database, make) -> None:
    job_id = make(1)
    for _ in range(3):
        with database.write() as session:
            assert len(claim(session, job_id, 0)) == 1
        expire(database, job_id)
    with database.write() as session:
        assert claim(session, job_id, 0) == []
        assert jobs.take_back_expired(session, max_attempts=3) == [job_id]
    with database.read() as session:
        read = queries.job(session, job_id)
        assert read is not None
        assert read.images[0].error_code == "worker_lost"
        assert read.job.state == JobState.FAILED


def test_a_renewed_lease_is_not_taken_back(database, make) -> None:
    job_id = make(2)
    with database.write() as session:
        claims = claim(session, job_id, 0, 1)
    expire(database, job_id)
    with database.write() as session:
        jobs.renew(session, claims[:1], lease_s=60)
        jobs.take_back_expired(session, max_attempts=3)
    with database.read() as session:
        read = queries.job(session, job_id)
        assert read is not None
        assert [image.state for image in read.images] == [ImageState.RUNNING, ImageState.QUEUED]


def test_an_image_handed_back_keeps_its_attempts_and_is_sent_again(database, make) -> None:
    job_id = make(1)
    with database.write() as session:
        jobs.release(session, claim(session, job_id, 0), counts=False)
    with database.write() as session:
        parcels = jobs.take_unpublished(
            session, models=["scenes"], stale_s=None, limit=100, size=16
        )
        assert Parcel(job_id, "scenes", (0,)) in parcels
        (again,) = claim(session, job_id, 0)
    assert again.attempt == 1


def test_what_was_not_published_is_sent_once_and_retries_travel_alone(database, make) -> None:
    job_id = make(4)
    with database.write() as session:
        claim(session, job_id, 0, 1)
    expire(database, job_id)
    with database.write() as session:
        jobs.take_back_expired(session, max_attempts=3)
        jobs.unpublished(session, Parcel(job_id, "scenes", (2, 3)))

    def ours() -> list[tuple[int, ...]]:
        with database.write() as session:
            parcels = jobs.take_unpublished(
                session, models=["scenes"], stale_s=None, limit=100, size=16
            )
        return sorted(parcel.positions for parcel in parcels if parcel.job_id == job_id)

    assert ours() == [(0,), (1,), (2, 3)]
    assert ours() == []


def test_workers_that_finish_at_once_lose_no_count(database, make) -> None:
    job_id = make(32)
    with database.write() as session:
        claims = claim(session, job_id, *range(32))
    ended: list[UUID] = []
    gate = threading.Barrier(8)

    def finish(mine: list[Claim]) -> None:
        gate.wait()
        for one in mine:
            with database.write() as session:
                ended.extend(jobs.finish(session, [Outcome(one, caption="x")]))

    threads = [threading.Thread(target=finish, args=(claims[n::8],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == [job_id]
    assert state(database, job_id) == JobState.SUCCEEDED


def test_a_job_without_a_usable_picture_is_refused(database) -> None:
    with pytest.raises(ValueError, match="at least one picture"), database.write() as session:
        jobs.create(
            session,
            job_id=uuid7(),
            model="scenes",
            prompt=None,
            pictures=[Picture(None, None, ImageTruncated("cut"))],
        )
