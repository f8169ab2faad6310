"""The API alone, as a process, with the test in the place of its workers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx

from captioner import jobs
from captioner.blobs import BlobStore
from captioner.cleaning import Cleaner
from captioner.database import Database
from captioner.settings import Settings
from captioner.work import Claim, Outcome
from tests import processes
from tests.integration.conftest import settings_of
from tests.stacks import Stack


@dataclass
class Door:
    """An API process, and what it writes to."""

    http: httpx.Client
    database: Database
    settings: Settings
    folder: Path
    log: Path

    def post(self, *pictures: bytes, name: str = "x.png", **fields: str) -> str:
        """Send a form. Returns the job's address."""
        files = [("images", (name, picture, "image/png")) for picture in pictures]
        response = self.http.post("/captionImage", files=files, data=fields)
        assert response.status_code == 202, response.text
        return response.json()["urls"]["self"]

    def queued(self) -> str:
        """The address of the newest job that waits here, once there is one."""

        def found() -> list[dict]:
            listed = self.http.get("/captionImage", params={"status": "queued"}).json()
            return [job for job in listed if job["model"] == "scenes"]

        processes.until(lambda: bool(found()), what="queued job")
        return found()[0]["urls"]["self"]

    def claim(self, url: str) -> list[Claim]:
        """Take all images of a job, as a worker."""
        with self.database.write() as session:
            taken = jobs.claim(
                session, model="scenes", limit=1_000, worker="w", lease_s=60, max_attempts=3,
                retry_s=3600,
            )  # fmt: skip
        mine = [claim for claim in taken if claim.job_id == id_of(url)]
        with self.database.write() as session:
            jobs.release(session, [claim for claim in taken if claim not in mine])
        return mine

    def finish(self, claims: list[Claim], *, caption: str = "a picture") -> None:
        """Store captions, as a worker."""
        with self.database.write() as session:
            jobs.finish(session, [Outcome(claim, caption=caption) for claim in claims])

    def caption(self, url: str, caption: str = "a picture") -> None:
        """Bring a job to its end."""
        self.finish(self.claim(url), caption=caption)

    def cleaner(self, **changes: object) -> Cleaner:
        """A worker's cleaner."""
        settings = self.settings.model_copy(update=changes)
        return Cleaner(settings, self.database, BlobStore(settings.blobs))

    def files(self) -> set[str]:
        """Names of all files in the picture store."""
        return {path.name for path in self.folder.rglob("*") if path.is_file()}


def id_of(url: str) -> UUID:
    return UUID(url.rpartition("/")[2])


@contextmanager
def opened(stack: Stack, folder: Path, **changes: str) -> Iterator[Door]:
    blobs = folder / "blobs"
    environment = {
        **stack.environment,
        "CAPTIONER_BLOB_URL": f"file://{blobs}",
        **{f"CAPTIONER_{name.upper()}": value for name, value in changes.items()},
    }
    settings = settings_of(stack, blob_url=f"file://{blobs}")
    database = Database(settings.database)
    with (
        processes.service(environment, folder, workers=0, ready=False) as base,
        httpx.Client(base_url=base, timeout=60) as http,
    ):
        yield Door(http, database, settings, blobs, folder / "api.log")
    database.close()
