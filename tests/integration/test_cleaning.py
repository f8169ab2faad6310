"""What is kept no longer goes by itself: each thing after its own time, and nothing before."""

import os
import time
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select, update
from uuid_utils.compat import uuid7

from captioner import jobs, queries
from captioner.blobs import BlobStore
from captioner.cleaning import Cleaner
from captioner.clock import now, now_plus
from captioner.database import Database
from captioner.errors import CaptionFailed, NothingToRetry
from captioner.jobs.deleting import JOBS
from captioner.setting_groups import DAY_S
from captioner.work import Order, Outcome, Picture
from models import Blob, DeletedJob, IdempotencyKey, Job, JobImage, JobState
from tests.integration.alone import stack as stack
from tests.integration.conftest import settings_of
from tests.integration.rows import claim, model_of
from tests.stacks import Stack


class Shelf:
    """Jobs of any age, with pictures in a store of the test's own."""

    def __init__(self, stack: Stack, database: Database, folder: Path) -> None:
        self.settings = settings_of(stack, blob_url=f"file://{folder}")
        self.database, self.folder = database, folder
        self.blobs = BlobStore(self.settings.blobs)

    def picture(self, data: bytes) -> str:
        sha256 = self.blobs.put(data)
        with self.database.write() as session:
            if session.get(Blob, sha256) is None:
                session.add(
                    Blob(sha256=sha256, media_type="image/png", bytes=len(data), width=8,
                         height=8, created_at=now())
                )  # fmt: skip
        return sha256

    def job(self, *pictures: str, ended_s: float | None = None, failed: bool = False) -> UUID:
        """A job that ended so many seconds ago, or has not ended."""
        job_id = uuid7()
        with self.database.write() as session:
            order = Order(job_id, model_of(job_id))
            jobs.create(session, [(order, [Picture("x.png", name) for name in pictures])])
        if ended_s is not None:
            error = CaptionFailed("no answer") if failed else None
            with self.database.write() as session:
                held = claim(session, job_id, *range(len(pictures)))
                jobs.finish(session, [Outcome(c, caption="one", error=error) for c in held])
            self.age(job_id, ended_s)
        return job_id

    def age(self, job_id: UUID, seconds: float) -> None:
        """Say that the job, and its images that are final, ended so long ago."""
        at = {"finished_at": now_plus(-seconds)}
        with self.database.write() as session:
            session.execute(update(Job).where(Job.id == job_id).values(**at))
            images = update(JobImage).where(JobImage.job_id == job_id)
            session.execute(images.where(JobImage.finished_at.is_not(None)).values(**at))

    def clean(self, *, turns: int = 1, **changes: object) -> None:
        cleaner = Cleaner(self.settings.model_copy(update=changes), self.database, self.blobs)
        for _ in range(turns):
            cleaner.turn()

    def read(self, job_id: UUID) -> queries.JobRead | None:
        with self.database.read() as session:
            return queries.job(session, job_id)

    def why_gone(self, job_id: UUID) -> str | None:
        with self.database.read() as session:
            stone = session.get(DeletedJob, job_id)
            return stone.reason if stone and session.get(Job, job_id) is None else None

    def files(self) -> set[str]:
        return {path.name for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture
def shelf(stack: Stack, database: Database, tmp_path: Path) -> Shelf:
    return Shelf(stack, database, tmp_path / "blobs")


def test_a_job_goes_when_its_time_is_over_and_not_before(shelf: Shelf) -> None:
    old, young, unended = shelf.picture(b"old"), shelf.picture(b"young"), shelf.picture(b"new")
    ended = shelf.job(old, ended_s=31 * DAY_S)
    others = [shelf.job(young, ended_s=3600), shelf.job(unended)]
    failed = shelf.job(old, ended_s=31 * DAY_S, failed=True)

    shelf.clean()

    assert [shelf.why_gone(job) for job in (ended, failed)] == ["retention"] * 2
    assert all(shelf.read(job) for job in others)
    assert shelf.files() == {young, unended}


def test_zero_keeps_for_ever(shelf: Shelf) -> None:
    picture = shelf.picture(b"old")
    job = shelf.job(picture, ended_s=4_000 * DAY_S)

    shelf.clean(keep_jobs_s=0.0, keep_blobs_s=0.0)

    read = shelf.read(job)
    assert read is not None
    assert [image.blob_sha256 for image in read.images] == [picture]
    assert shelf.files() == {picture}


def test_pictures_go_before_their_job_and_then_cannot_be_tried_again(shelf: Shelf) -> None:
    shared, own = shelf.picture(b"shared"), shelf.picture(b"own")
    old = shelf.job(shared, own, ended_s=8 * DAY_S, failed=True)
    young = shelf.job(shared, ended_s=6 * DAY_S)

    shelf.clean()

    read = shelf.read(old)
    assert read is not None
    assert [image.blob_sha256 for image in read.images] == [None, None]
    assert [image.error_code for image in read.images] == ["caption_failed"] * 2
    assert shelf.files() == {shared}
    with pytest.raises(NothingToRetry), shelf.database.write() as session:
        jobs.retry(session, old)
    shelf.age(young, 8 * DAY_S)
    shelf.clean()
    assert shelf.files() == set()
    kept = shelf.read(young)
    assert kept is not None
    assert kept.images[0].caption == "one"


def test_a_job_that_is_tried_again_keeps_its_pictures(shelf: Shelf) -> None:
    picture = shelf.picture(b"again")
    job = shelf.job(picture, ended_s=6 * DAY_S, failed=True)
    with shelf.database.write() as session:
        jobs.retry(session, job)
    shelf.age(job, 8 * DAY_S)  # of its images: the job itself has no end any more
    with shelf.database.write() as session:
        session.execute(update(Job).where(Job.id == job).values(finished_at=None))

    shelf.clean()

    read = shelf.read(job)
    assert read is not None
    assert read.images[0].blob_sha256 == picture
    assert shelf.files() == {picture}


def test_more_than_a_turn_takes_up_goes_in_several(shelf: Shelf) -> None:
    picture = shelf.picture(b"many")
    ids = [shelf.job(picture, ended_s=31 * DAY_S) for _ in range(JOBS + 5)]

    def left() -> int:
        with shelf.database.read() as session:
            return session.scalar(select(func.count()).where(Job.id.in_(ids))) or 0

    shelf.clean(keep_blobs_s=0.0)
    assert left() == 5
    assert shelf.files() == {picture}
    shelf.clean(keep_blobs_s=0.0)
    assert left() == 0
    assert shelf.files() == set()


def test_what_is_remembered_is_forgotten_in_its_time(shelf: Shelf) -> None:
    stones = {days: uuid7() for days in (89, 91)}
    with shelf.database.write() as session:
        for days, job_id in stones.items():
            at = now_plus(-days * DAY_S)
            session.add(DeletedJob(id=job_id, deleted_at=at, reason="asked"))
        for hours in (23, 25):
            session.add(
                IdempotencyKey(caller=str(stones[91]), key=f"{hours}", fingerprint="f" * 64,
                               job_id=uuid7(), created_at=now_plus(-hours * 3600))
            )  # fmt: skip

    shelf.clean()

    with shelf.database.read() as session:
        assert session.get(DeletedJob, stones[89]) is not None
        assert session.get(DeletedJob, stones[91]) is None
        mine = select(IdempotencyKey.key).where(IdempotencyKey.caller == str(stones[91]))
        assert session.scalars(mine).all() == ["23"]


def test_files_that_no_row_knows_go_after_a_day(shelf: Shelf) -> None:
    known = shelf.picture(b"known")
    shelf.job(known)
    old, young = shelf.blobs.put(b"old orphan"), shelf.blobs.put(b"young orphan")
    place = shelf.folder / old[:2]
    parts = [place / f".{old}.{age * 32}.part" for age in ("0", "1")]
    for part in parts:
        part.write_bytes(b"half of an orph")
    foreign = place / "notes.txt"
    foreign.touch()
    for path in (place / old, parts[0], foreign, shelf.folder / known[:2] / known):
        os.utime(path, (time.time() - DAY_S - 60,) * 2)

    Cleaner(shelf.settings, shelf.database, shelf.blobs).sweep()

    assert shelf.files() == {known, young, parts[1].name, foreign.name}


def test_the_sweep_comes_round_by_itself(shelf: Shelf) -> None:
    orphan = shelf.blobs.put(b"orphan")
    os.utime(shelf.folder / orphan[:2] / orphan, (time.time() - 60,) * 2)
    settings = shelf.settings.model_copy(update={"keep_orphans_s": 0.5})
    cleaner = Cleaner(settings, shelf.database, shelf.blobs)
    turns = 0
    while shelf.files():
        time.sleep(0.1)
        cleaner.turn()
        turns += 1
        assert turns < 30


def test_a_row_that_a_broken_deletion_left_is_found(shelf: Shelf) -> None:
    left, lost = shelf.picture(b"left"), shelf.picture(b"lost")
    shelf.blobs.remove(lost)  # as if the process had ended between the file and the commit
    used = shelf.picture(b"used")
    shelf.job(used)

    shelf.clean(turns=2)  # it begins anywhere among the hashes

    with shelf.database.read() as session:
        found = [name for name in (left, lost, used) if session.get(Blob, name)]
    assert found == [used]
    assert shelf.files() == {used}


def test_an_old_job_that_was_just_tried_again_stays(shelf: Shelf) -> None:
    job = shelf.job(shelf.picture(b"x"), ended_s=40 * DAY_S, failed=True)
    with shelf.database.write() as session:
        jobs.retry(session, job)

    shelf.clean()

    read = shelf.read(job)
    assert read is not None
    assert read.job.state == JobState.QUEUED
