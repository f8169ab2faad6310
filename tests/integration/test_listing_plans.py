"""No list and no statistic reads a table from end to end, however many jobs there are."""

import re
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import select

from captioner import gallery, queries, results, schema
from captioner.database import Database
from captioner.jobs.keys import listed, named
from models import JobImage, JobState
from tests import many
from tests.integration.conftest import settings_of
from tests.stacks import Stack, fresh

JOBS = 30_000
DEEP = many.id_of(JOBS // 3)
LIMIT = 100
ALL_COUNTS = results.SHARDS * (len(results.ENDED) + 1) * (results.LAST + 1)
NAMED = "images that a worker has"
KEYS = listed([(many.id_of(number), 0) for number in range(1, 33)])
FAILED = [JobState.FAILED]
UNFINISHED = [JobState.QUEUED, JobState.RUNNING]
ENDED = [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED]
BY_STATE = ("succeeded", "failed", "unfinished", "ended")
OF_AN_OWNER = ("an owner's", "half of all")
OF_AN_OWNER_BY_STATE = (
    "an owner's succeeded", "an owner's failed", "an owner's unfinished", "half of all, succeeded",
    "half of all, failed, of which there are none", "half of all, ended", "nobody's",
)  # fmt: skip


@pytest.fixture(scope="module")
def full(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with fresh(stack, tmp_path_factory.mktemp("full")) as url:
        schema.upgrade(settings_of(stack, database_url=url))
        many.fill(url, JOBS)
        database = Database(url, answer_s=60)
        yield database
        database.close()


def of_an_owner(owner: str, *states: JobState) -> Callable:
    return lambda s, before: queries.page(
        s, before=before, limit=LIMIT, owner=owner, states=list(states)
    )


LOOKS: dict[str, Callable] = {
    "jobs": lambda s, before: queries.page(s, before=before, limit=LIMIT),
    "succeeded": lambda s, before: queries.page(
        s, before=before, limit=LIMIT, states=[JobState.SUCCEEDED]
    ),
    "failed": lambda s, before: queries.page(
        s, before=before, limit=LIMIT, states=[JobState.FAILED]
    ),
    "unfinished": lambda s, before: queries.page(s, before=before, limit=LIMIT, states=UNFINISHED),
    "ended": lambda s, before: queries.page(
        s,
        before=before,
        limit=LIMIT,
        states=ENDED,
    ),
    "images": lambda s, before: gallery.page(s, before=before, limit=LIMIT),
    "an owner's images": lambda s, before: gallery.page(
        s, before=before, limit=LIMIT, owner="owner-7"
    ),
    "an owner's": of_an_owner("owner-7"),
    "an owner's succeeded": of_an_owner("owner-7", JobState.SUCCEEDED),
    "an owner's failed": of_an_owner("owner-7", JobState.FAILED),
    "an owner's unfinished": of_an_owner("owner-7", *UNFINISHED),
    "half of all": of_an_owner(many.HALF),
    "half of all, succeeded": of_an_owner(many.HALF, JobState.SUCCEEDED),
    "half of all, failed, of which there are none": of_an_owner(many.HALF, JobState.FAILED),
    "half of all, ended": of_an_owner(many.HALF, *ENDED),
    "nobody's": of_an_owner("nobody", JobState.FAILED),
    "results": lambda s, before: results.total(s),
    NAMED: lambda s, before: s.execute(select(JobImage.position).where(named()), {"keys": KEYS}),
}


@pytest.mark.parametrize("before", [None, DEEP], ids=["first", "deep"])
@pytest.mark.parametrize("name", LOOKS)
def test_a_look_takes_an_index(full: Database, name: str, before) -> None:
    def look() -> None:
        with full.read() as session:
            LOOKS[name](session, before)

    on_postgres = full.engine.dialect.name == "postgresql"
    found = "\n".join(many.plans(full, look, measured=on_postgres))
    print(found)
    if on_postgres:
        assert not re.search(r"Seq Scan on (jobs|job_images|image_details)", found)
        read = [int(rows) for rows in re.findall(r"actual time=\S+ rows=(\d+)", found)]
        passed_over = [int(rows) for rows in re.findall(r"Rows Removed by \w+: (\d+)", found)]
        assert read
        assert max(read + passed_over) <= (ALL_COUNTS if name == "results" else 3 * LIMIT)
    else:
        assert found
        assert not re.search(r"SCAN (jobs|job_images|image_details)(?! USING)", found)
        assert "ix_jobs_state_deadline_at" not in found, "it would be sorted"
        assert ("job_images USING INTEGER PRIMARY KEY" in found) == (name == NAMED)
        assert ("ix_jobs_state_id" in found) == (name in BY_STATE)
        assert ("ix_jobs_owner_id" in found) == (name in OF_AN_OWNER)
        assert ("ix_jobs_owner_state_id" in found) == (name in OF_AN_OWNER_BY_STATE)


def test_the_pages_are_those_of_the_rows(full: Database) -> None:
    with full.read() as session:
        first = queries.page(session, limit=LIMIT)
        failed = queries.page(
            session, limit=LIMIT, states=[JobState.FAILED, JobState.CANCELED], before=DEEP
        )
        images = gallery.page(session, before=many.id_of(50), limit=LIMIT, owner="owner-7")
        hers = queries.page(session, owner="owner-7", before=many.id_of(50), limit=LIMIT)
        ended = queries.page(session, owner="owner-0", states=ENDED, before=DEEP, limit=LIMIT)
        none = queries.page(session, owner=many.HALF, states=FAILED, limit=LIMIT)
    assert [listed.job.id for listed in hers] == [many.id_of(n) for n in (47, 27, 7)]
    assert {listed.job.state for listed in ended} == {"succeeded", "failed"}
    assert [listed.job.id for listed in ended] == sorted(
        (listed.job.id for listed in ended), reverse=True
    )
    assert none == []
    assert [listed.job.id for listed in first] == [many.id_of(JOBS - n) for n in range(100)]
    assert len(failed) == 100
    assert {listed.job.state for listed in failed} == {"failed", "canceled"}
    ids = [listed.job.id for listed in failed]
    assert ids == sorted(ids, reverse=True)
    assert ids[0] < DEEP
    assert [row.job_id for row in images] == [many.id_of(n) for n in (47, 27, 7)]
