"""What no message carries is sent again, once; what must wait, waits."""

from sqlalchemy import update

from captioner import dispatch, jobs
from captioner.clock import now_plus
from captioner.work import Parcel
from models import Job, JobImage
from tests.integration.rows import claim, expire, model_of


def test_an_image_handed_back_keeps_its_attempts_and_is_sent_again(database, make) -> None:
    job_id = make(1)
    with database.write() as session:
        jobs.release(session, claim(session, job_id, 0))
    with database.write() as session:
        parcels = dispatch.take_unpublished(
            session, models=[model_of(job_id)], stale_s=300, limit=100, size=16
        )
        assert Parcel(job_id, model_of(job_id), (0,)) in parcels
        (again,) = claim(session, job_id, 0)
    assert not again.alone
    assert again.attempt == 2  # the number fences; it is the lost ones that are counted


def test_what_was_not_published_is_sent_once_and_retries_travel_alone(database, make) -> None:
    job_id = make(4)
    with database.write() as session:
        claim(session, job_id, 0, 1)
    expire(database, job_id)
    with database.write() as session:
        jobs.take_back_expired(session, max_attempts=3)
        dispatch.unpublished(session, Parcel(job_id, model_of(job_id), (2, 3)))

    def ours() -> list[tuple[int, ...]]:
        with database.write() as session:
            parcels = dispatch.take_unpublished(
                session, models=[model_of(job_id)], stale_s=300, limit=100, size=16
            )
        return sorted(parcel.positions for parcel in parcels if parcel.job_id == job_id)

    assert ours() == [(0,), (1,), (2, 3)]
    assert ours() == []


def test_an_image_that_waits_for_a_part_is_left_alone_for_a_while(database, make) -> None:
    job_id = make(1)
    with database.write() as session:
        jobs.release(session, claim(session, job_id, 0), wait_s=60)
    with database.write() as session:
        assert claim(session, job_id, 0) == []
        session.execute(
            update(JobImage).where(JobImage.job_id == job_id).values(not_before=now_plus(-1))
        )
        (again,) = claim(session, job_id, 0)
    assert again.may_wait


def test_an_image_waits_for_a_part_that_is_away_for_so_long_whenever_its_job_was_made(
    database, make
) -> None:
    job_id = make(1)
    of_job = update(JobImage).where(JobImage.job_id == job_id)
    with database.write() as session:
        session.execute(update(Job).where(Job.id == job_id).values(created_at=now_plus(-9000)))
        (first,) = claim(session, job_id, 0)
        assert first.may_wait
        jobs.release(session, [first], wait_s=1)
        session.execute(of_job.values(not_before=None))
        (second,) = claim(session, job_id, 0)
        assert second.may_wait
        session.execute(of_job.values(waiting_since=now_plus(-4000)))
        jobs.release(session, [second], wait_s=1)  # it has waited since then, not anew
        session.execute(of_job.values(not_before=None))
        (late,) = claim(session, job_id, 0)
    assert not late.may_wait


def test_a_message_that_was_lost_in_a_backlog_is_sent_again(database, make) -> None:
    job_id = make(1)

    def due(stale_s: float) -> bool:
        with database.write() as session:
            parcels = dispatch.take_unpublished(
                session, models=[model_of(job_id)], stale_s=stale_s, limit=1000, size=16
            )
        return any(parcel.job_id == job_id for parcel in parcels)

    assert not due(30)
    with database.write() as session:
        session.execute(
            update(JobImage).where(JobImage.job_id == job_id).values(published_at=now_plus(-60))
        )
    assert not due(300)
    assert due(30)
    assert not due(30)
