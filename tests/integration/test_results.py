"""What is counted of results is what is there, whatever changes, and whoever writes at once."""

import threading
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import delete, func, select, text, update
from uuid_utils.compat import uuid7

from captioner import jobs, results, schema
from captioner.clock import now_plus
from captioner.database import Database
from captioner.errors import CaptionFailed
from captioner.work import Order, Outcome, Picture, Remembered
from models import ImageState, Job, JobImage, ResultTally
from tests.integration.alone import stack as stack
from tests.integration.conftest import SHA, settings_of
from tests.integration.rows import claim, expire, model_of
from tests.stacks import Stack, fresh
from tests.statements import statements

Im = ImageState
ID = "0193ab00000070008000000000000001"
OLD_JOB = (
    "INSERT INTO jobs (id, state, model, image_count, succeeded_count, failed_count, created_at)"
    f" VALUES ('{ID}', 'running', 'm', 4, 2, 1, '2026-01-01 00:00:00+00:00')"
)
OLD_IMAGE = (
    "INSERT INTO job_images (job_id, position, state, caption, error_code, attempt, cached)"
    f" VALUES ('{ID}', :position, :state, 'a', 'x', 1, false)"
)


def told(database: Database) -> results.Results:
    with database.read() as session:
        return results.total(session)


def there(database: Database) -> dict[ImageState, int]:
    with database.read() as session:
        rows = session.execute(select(JobImage.state, func.count()).group_by(JobImage.state))
        found = {Im(state): images for state, images in rows}
    return {state: found.get(state, 0) for state in results.ENDED}


def end(database: Database, job_id: UUID, count: int, *, failed: bool = False) -> None:
    error = CaptionFailed("no") if failed else None
    with database.write() as session:
        held = claim(session, job_id, *range(count))
        jobs.finish(session, [Outcome(each, caption="a", error=error) for each in held])


def test_counts_follow_whatever_becomes_of_an_image(database: Database, make) -> None:
    first = make(4, refused=1)
    assert told(database).images == there(database), "one was refused"
    end(database, first, 2)
    end(database, first, 1, failed=True)
    assert told(database).images == there(database)
    with database.write() as session:
        jobs.retry(session, first)
    assert told(database).images == there(database), "what failed waits again"
    end(database, first, 1)
    second = make(3)
    with database.write() as session:
        jobs.cancel(session, second)
    assert told(database).images[Im.CANCELED] == 3
    third = make(1)
    with database.write() as session:
        claim(session, third, 0)
    expire(database, third)
    with database.write() as session:
        jobs.take_back_expired(session, max_attempts=1)
    assert told(database).images == there(database), "its worker was lost"
    with database.write() as session:
        jobs.delete_job(session, first)
        session.execute(update(Job).values(finished_at=now_plus(-10)))
    with database.write() as session:
        jobs.delete_old(session, kept_s=5)
    assert told(database).images == there(database) == dict.fromkeys(results.ENDED, 0)


def test_a_known_caption_is_a_result_that_took_no_time(database: Database, make) -> None:
    make(1)  # for its picture
    before, job_id = told(database), uuid7()
    with database.write() as session:
        pictures = [Picture("a", SHA, known=Remembered("a cat")), Picture("b", SHA)]
        jobs.create(session, [(Order(job_id, model_of(job_id)), pictures)])

    after = told(database)

    assert after.images[Im.SUCCEEDED] == before.images[Im.SUCCEEDED] + 1
    assert after.times[Im.SUCCEEDED] == before.times[Im.SUCCEEDED]


def test_a_time_runs_from_the_claim_to_the_result(database: Database, make) -> None:
    job_id, before = make(1), told(database).times[Im.SUCCEEDED]
    with database.write() as session:
        held = claim(session, job_id, 0)
        session.execute(
            update(JobImage).where(JobImage.job_id == job_id).values(started_at=now_plus(-90))
        )
    with database.write() as session:
        jobs.finish(session, [Outcome(held[0], caption="a")])

    after = told(database).times[Im.SUCCEEDED]

    new = {b: n - before.buckets.get(b, 0) for b, n in after.buckets.items()}
    assert sum(new.values()) == 1
    (bucket,) = (b for b, n in new.items() if n)
    low, high = results.bounds(bucket)
    assert low <= 90 <= high
    assert after.seconds - before.seconds == pytest.approx(90, abs=5)


def test_what_is_undone_is_not_counted(database: Database, make) -> None:
    job_id = make(1)
    before = told(database)

    def finish_and_fail() -> None:
        with database.write() as session:
            held = claim(session, job_id, 0)
            jobs.finish(session, [Outcome(held[0], caption="a")])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        finish_and_fail()
    assert told(database) == before


def test_many_results_are_counted_in_one_statement_and_new_jobs_in_none(
    database: Database, make
) -> None:
    made = statements(database, lambda: make(50))
    job_id = make(50)
    ended = statements(database, lambda: end(database, job_id, 50))

    assert [sql for sql in made if "result_tallies" in sql] == []
    assert len([sql for sql in ended if "result_tallies" in sql]) == 1
    assert "result_tallies" in ended[-1], "others may wait from there on"


def test_writers_at_the_same_time_lose_no_count_and_wait_for_none_for_long(
    database: Database, make
) -> None:
    made = [make(20) for _ in range(8)]
    before = told(database).images[Im.SUCCEEDED]
    faults: list[BaseException] = []

    def work(job_id: UUID) -> None:
        try:
            for _ in range(10):
                end(database, job_id, 2)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(job_id,)) for job_id in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    assert told(database).images[Im.SUCCEEDED] == before + 160
    assert told(database).images == there(database)
    with database.read() as session:
        parts = session.scalars(select(ResultTally.shard).distinct()).all()
    assert len(parts) > 4


def test_what_another_version_did_not_count_is_counted_later(database: Database, make) -> None:
    job_id = make(3)
    end(database, job_id, 3)
    with database.write() as session:
        session.execute(delete(JobImage).where(JobImage.job_id == job_id, JobImage.position == 0))
    assert told(database).images != there(database)
    waiting, found = threading.Barrier(3), []

    def recount() -> None:
        waiting.wait()
        with database.write() as session:
            found.append(results.recount(session))

    threads = [threading.Thread(target=recount) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(found, key=len) == [{}, {}, {Im.SUCCEEDED: -1}], "corrected once"
    assert told(database).images == there(database)


def test_the_migration_counts_what_is_there(stack: Stack, tmp_path: Path) -> None:
    with fresh(stack, tmp_path) as url:
        settings = settings_of(stack, database_url=url)
        schema.upgrade(settings, "0006")
        database = Database(url)
        with database.write() as session:
            session.execute(text(OLD_JOB))
            for position, state in enumerate(("succeeded", "succeeded", "failed", "queued")):
                values = {"position": position, "state": state}
                session.execute(text(OLD_IMAGE), values)
        schema.upgrade(settings)
        found = told(database)
        assert found.images == there(database) == {Im.SUCCEEDED: 2, Im.FAILED: 1, Im.CANCELED: 0}
        assert found.times[Im.SUCCEEDED].images == 0
        database.close()
