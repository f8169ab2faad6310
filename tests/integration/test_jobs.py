"""Every change of state is conditional: nothing is counted twice, nothing is overwritten."""

import json
import math
import threading
from uuid import UUID

import pytest
from sqlalchemy import select, update
from uuid_utils.compat import uuid7

from captioner import jobs, queries
from captioner.errors import CaptionFailed, ImageTruncated, JobFinal
from captioner.work import Claim, Order, Outcome, Picture, Timings
from models import ImageState, JobImage, JobState
from tests.integration.rows import claim, expire, state


def test_a_job_runs_when_claimed_and_ends_when_its_last_image_does(database, make) -> None:
    job_id = make(2)
    assert state(database, job_id) == JobState.QUEUED
    with database.write() as session:
        first, second = claim(session, job_id, 0, 1)
    assert state(database, job_id) == JobState.RUNNING
    with database.write() as session:
        assert jobs.finish(session, [Outcome(first, caption="one")]) == {job_id: JobState.RUNNING}
    assert state(database, job_id) == JobState.RUNNING
    with database.write() as session:
        assert jobs.finish(session, [Outcome(second, caption="two")]) == {
            job_id: JobState.SUCCEEDED
        }
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
        jobs.take_back_expired(session, max_attempts=3)
        assert claim(session, job_id, 0) == []  # only one by one from now on
        (quick,) = claim(session, job_id, 0, again=True)
        assert quick.attempt == 2
        assert quick.alone
        jobs.finish(session, [Outcome(quick, caption="right")])
        assert jobs.finish(session, [Outcome(slow, caption="late")]) == {}
        assert jobs.finish(session, [Outcome(quick, caption="twice")]) == {}
    with database.read() as session:
        read = queries.job(session, job_id)
        assert read is not None
        assert read.images[0].caption == "right"
        assert read.job.succeeded_count == 1


def test_a_claim_takes_what_it_names_and_nothing_beside(database, make) -> None:
    job_id, other = make(40), make(40)
    with database.write() as session:
        taken = claim(session, job_id, *range(3, 36))
        jobs.finish(session, [Outcome(each, caption=f"number {each.position}") for each in taken])
    with database.read() as session:
        rows = session.scalars(select(JobImage)).all()
    mine = {row.position: row for row in rows if row.job_id == job_id}
    tried = sorted(n for n, row in mine.items() if row.attempt)
    assert tried == [each.position for each in taken]
    assert all(mine[each.position].caption == f"number {each.position}" for each in taken)
    assert {row.state for row in rows if row.job_id == other} == {ImageState.QUEUED}


def test_a_result_is_stored_as_it_was_said(database, make) -> None:
    job_id = make(3)
    odd = 'a "star", é and 星\n{"a": [1]} \\u0041'
    with database.write() as session:
        one, two, three = claim(session, job_id, 0, 1, 2)
        said = Outcome(
            one, caption=odd, score=-1 / 3, others=((odd, None),), tags=(odd,), flagged=True,
            timings=Timings(1e-9, 0.0, 12345.678, 16),
        )  # fmt: skip
        unsure = Outcome(two, caption="null", score=-math.inf, flagged=False)
        jobs.finish(session, [said, unsure, Outcome(three, error=ImageTruncated(odd))])
    with database.read() as session:
        first, second, third = session.scalars(
            select(JobImage).where(JobImage.job_id == job_id).order_by(JobImage.position)
        )
    assert (first.caption, first.score, first.flagged) == (odd, -1 / 3, True)
    assert (json.loads(first.others), json.loads(first.tags)) == ([[odd, None]], [odd])
    assert (first.decode_ms, first.wait_ms, first.infer_ms) == (1e-9, 0.0, 12345.678)
    assert (second.caption, second.score, second.flagged) == ("null", None, False)
    assert (third.caption, third.error_code, third.error_detail) == (None, "image_truncated", odd)


def test_an_image_whose_workers_die_is_given_up_in_the_end(database, make) -> None:
    job_id = make(1)
    for attempt in range(3):
        with database.write() as session:
            assert jobs.take_back_expired(session, max_attempts=3).get(job_id) is None
            assert len(claim(session, job_id, 0, again=attempt > 0)) == 1
        expire(database, job_id)
    with database.write() as session:
        assert claim(session, job_id, 0, again=True) == []
        assert jobs.take_back_expired(session, max_attempts=3)[job_id] == JobState.FAILED
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
                changed = jobs.finish(session, [Outcome(one, caption="x")])
                ended.extend(known for known, now in changed.items() if now.final)

    threads = [threading.Thread(target=finish, args=(claims[n::8],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == [job_id]
    assert state(database, job_id) == JobState.SUCCEEDED


def test_a_job_without_a_usable_picture_is_refused(database) -> None:
    refused = [Picture(None, None, ImageTruncated("cut"))]
    with pytest.raises(ValueError, match="at least one picture"), database.write() as session:
        jobs.create(session, [(Order(uuid7(), "scenes"), refused)])


def test_fewer_attempts_than_before_leave_no_image_behind(database, make) -> None:
    job_id = make(1)
    with database.write() as session:
        claim(session, job_id, 0)
    expire(database, job_id)
    with database.write() as session:
        jobs.take_back_expired(session, max_attempts=3)
        assert jobs.take_back_expired(session, max_attempts=1)[job_id] == JobState.FAILED
    assert state(database, job_id) == JobState.FAILED


def test_a_thousand_held_images_are_renewed_at_once(database, make) -> None:
    job_id = make(2000)
    with database.write() as session:
        claims = claim(session, job_id, *range(2000))
    with database.write() as session:
        jobs.renew(session, claims, lease_s=60)


def test_taking_back_and_finishing_at_once_do_not_block_each_other(database, make) -> None:
    job_id = make(64)
    with database.write() as session:
        claims = claim(session, job_id, *range(64))
    expire(database, job_id)
    faults: list[BaseException] = []
    gate = threading.Barrier(4)

    def finish(mine: list[Claim]) -> None:
        gate.wait()
        try:
            with database.write() as session:
                jobs.finish(session, [Outcome(one, caption="x") for one in mine])
        except Exception as error:
            faults.append(error)

    def take_back() -> None:
        gate.wait()
        try:
            with database.write() as session:
                jobs.take_back_expired(session, max_attempts=1)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=finish, args=(claims[n::2],)) for n in range(2)]
    threads += [threading.Thread(target=take_back) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with database.read() as session:
        read = queries.job(session, job_id)
        assert read is not None
        assert read.job.succeeded_count + read.job.failed_count == 64


def test_a_job_that_is_done_cannot_be_canceled(database, make) -> None:
    job_id = make(1)
    with database.write() as session:
        (held,) = claim(session, job_id, 0)
        jobs.finish(session, [Outcome(held, caption="done")])
    with pytest.raises(JobFinal, match="succeeded already"), database.write() as session:
        jobs.cancel(session, job_id)


def test_a_retry_forgives_the_lost_attempts(database, make) -> None:
    job_id = make(1)
    with database.write() as session:
        of_job = update(JobImage).where(JobImage.job_id == job_id)
        session.execute(of_job.values(lost=3, state=ImageState.QUEUED))
        jobs.take_back_expired(session, max_attempts=3)
    with database.write() as session:
        assert jobs.retry(session, job_id) == [0]
        (again,) = claim(session, job_id, 0)
    assert not again.alone
