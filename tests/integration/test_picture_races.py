"""Requests and deletions of the same pictures at once: no accepted picture is ever missing."""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select, text

from captioner.blobs import BlobStore, digest
from captioner.cleaning import Cleaner
from captioner.database import Database
from captioner.errors import JobDeleted, PictureMissing
from captioner.intake import Intake
from captioner.retention import Retention
from captioner.submission import Submission
from captioner.taken import Upload
from models import Blob, JobImage
from tests.integration.alone import stack as stack
from tests.integration.conftest import settings_of
from tests.pictures import plain

LASTS_S = 6.0
PICTURES = [plain(colour) for colour in ("red", "green", "blue")]


class Silence:
    """A publisher with nobody to tell."""

    def publish(self, parcels: object, *, hurried: bool) -> None:
        del parcels, hurried


class Party:
    """Threads that submit and delete the same few pictures, each as if it were a process."""

    def __init__(self, stack, folder: Path) -> None:
        self.settings = settings_of(stack, blob_url=f"file://{folder}")
        self.folder = folder
        self.ending = time.monotonic() + LASTS_S
        self.faults: list[BaseException] = []
        self.seen: Counter[str] = Counter()
        self.opened: list[Database] = []

    def database(self) -> Database:
        self.opened.append(Database(self.settings.database))
        return self.opened[-1]

    def submit(self, database: Database) -> UUID:
        blobs = BlobStore(self.settings.blobs)
        chosen = random.sample(PICTURES, 2)
        uploads = [Upload(partial(bytes, picture), "x.png") for picture in chosen]
        job_id = (
            Intake(self.settings, database, blobs, Silence()).submit(Submission(uploads)).job_id
        )
        for picture in chosen:  # as a worker would, at any moment while the job is there
            assert blobs.get(digest(picture)) == picture
        self.seen["accepted"] += 1
        return job_id

    def client(self) -> None:
        database = self.database()
        retention = Retention(database, BlobStore(self.settings.blobs))
        while time.monotonic() < self.ending:
            job_id = self.submit(database)
            deletion = retention.delete(job_id)
            self.seen["files removed"] += deletion.pictures.blobs
            self.seen["left"] += deletion.pictures.left
            with pytest.raises(JobDeleted):
                retention.delete(job_id)

    def age(self) -> None:
        """Every whole file looks a month old at once: the sweep may take it for forgotten."""
        while time.monotonic() < self.ending:
            for path in self.folder.rglob("[0-9a-f]*"):
                with suppress(FileNotFoundError):
                    if path.is_file():
                        os.utime(path, (1_700_000_000, 1_700_000_000))
                        self.seen["aged"] += 1
            time.sleep(0.002)

    def cleaner(self) -> None:
        database = self.database()
        cleaner = Cleaner(self.settings, database, BlobStore(self.settings.blobs))
        while time.monotonic() < self.ending:
            cleaner.turn()
            for picture in PICTURES:
                cleaner._sweep_folder(int(digest(picture)[:2], 16))
            self.seen["turns"] += 1

    def run(self, *parts: Callable[[], None]) -> None:
        def act(part: Callable[[], None]) -> None:
            try:
                part()
            except Exception as error:
                self.faults.append(error)

        threads = [threading.Thread(target=act, args=(part,)) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert not any(thread.is_alive() for thread in threads)

    def files(self) -> set[str]:
        return {path.name for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture
def party(stack, tmp_path: Path) -> Iterator[Party]:
    party = Party(stack, tmp_path / "blobs")
    yield party
    for database in party.opened:
        database.close()


def test_no_accepted_picture_is_missing_while_others_delete_it(party: Party) -> None:
    party.run(*[party.client] * 5, party.cleaner, party.age)

    print(party.settings.database.split(":")[0], dict(party.seen))
    assert [fault for fault in party.faults if isinstance(fault, PictureMissing)] == []
    assert party.faults == []
    assert party.seen["accepted"] > 20
    assert party.seen["files removed"] > 0
    assert party.seen["left"] == 0
    assert party.files() == set()
    with party.opened[0].read() as session:
        hashes = [digest(picture) for picture in PICTURES]
        assert session.scalars(select(Blob).where(Blob.sha256.in_(hashes))).all() == []


def test_what_a_job_still_uses_stays_whatever_else_is_deleted(party: Party) -> None:
    kept = party.submit(party.database())
    with party.opened[0].read() as session:
        needed = set(session.scalars(select(JobImage.blob_sha256).where(JobImage.job_id == kept)))
    party.run(*[party.client] * 3, party.cleaner, party.age)

    assert party.faults == []
    assert party.files() == needed
    gone = Retention(party.opened[0], BlobStore(party.settings.blobs)).delete(kept)
    assert (gone.images, gone.pictures.blobs) == (2, 2)
    assert gone.pictures.bytes == sum(len(p) for p in PICTURES if digest(p) in needed)
    assert party.files() == set()


def test_a_picture_whose_row_is_being_written_is_waited_for(party: Party) -> None:
    """The order that a lock must settle: the row is there, its image not yet committed."""
    one, two = party.database(), party.database()
    blobs = BlobStore(party.settings.blobs)
    first = party.submit(one)
    ended: list[object] = []
    with one.write() as session:
        image = session.scalars(select(JobImage).where(JobImage.job_id == first)).first()
        assert image is not None
        session.execute(
            text("UPDATE blobs SET media_type = media_type WHERE sha256 = :sha"),
            {"sha": image.blob_sha256},
        )
        deleting = threading.Thread(
            target=lambda: ended.append(Retention(two, blobs).delete(first))
        )
        deleting.start()
        time.sleep(0.5)
        assert ended == []
        assert image.blob_sha256 in party.files()
    deleting.join(timeout=20)
    assert len(ended) == 1
    assert party.files() == set()
