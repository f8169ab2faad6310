"""The queue has room for so many pictures, and for so many of one caller; a 429 says when more."""

from collections.abc import Iterator
from uuid import UUID

import httpx
import pytest
from sqlalchemy import delete, func, select
from uuid_utils.compat import uuid7

from captioner import admission, jobs
from captioner.clock import now
from captioner.database import Database
from captioner.errors import QueueFull
from models import Blob, Job, Worker
from tests import processes
from tests.empty import emptied
from tests.integration.calls import files, problem
from tests.integration.conftest import settings_of
from tests.pictures import plain
from tests.stacks import Stack

ROOM, SHARE, LARGEST = 15, 10, 5
LIMITS = {
    "CAPTIONER_MAX_QUEUED": str(ROOM),
    "CAPTIONER_MAX_QUEUED_PER_CALLER": str(SHARE),
    "CAPTIONER_MAX_IMAGES": str(LARGEST),
}


@pytest.fixture(scope="module")
def own(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with emptied(stack, tmp_path_factory.mktemp("bounds")) as emptied_stack:
        yield emptied_stack


@pytest.fixture(scope="module")
def base(own: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An API with little room, and no worker: what is accepted stays."""
    folder = tmp_path_factory.mktemp("api")
    environment = {**own.environment, **LIMITS}
    with processes.service(environment, folder, workers=0, ready=False) as address:
        yield address


@pytest.fixture
def database(own: Stack) -> Iterator[Database]:
    """The database, without jobs."""
    opened = Database(own.database_url)
    with opened.write() as session:
        for record in (Job, Blob, Worker):
            session.execute(delete(record))
    yield opened
    opened.close()


def send(base: str, *pictures: bytes, caller: str = "127.0.0.1", key: str | None = None):
    headers = {"Idempotency-Key": key} if key else {}
    with httpx.Client(transport=httpx.HTTPTransport(local_address=caller)) as client:
        return client.post(f"{base}/captionImage", files=files(*pictures), headers=headers)


def stored(database: Database) -> list[int]:
    with database.read() as session:
        return [session.scalar(select(func.count()).select_from(r)) or 0 for r in (Job, Blob)]


def test_a_callers_share_is_full_and_another_caller_has_room(base, database) -> None:
    five = [plain()] * LARGEST
    for _ in range(SHARE // LARGEST):
        assert send(base, *five).status_code == 202
    before = stored(database)
    refused = send(base, plain("teal"))
    body = problem(refused, 429, "queue_full")
    assert (body["queued"], body["limit"]) == (SHARE, SHARE)
    assert int(refused.headers["Retry-After"]) == body["retry_after_s"] >= 1
    assert stored(database) == before
    assert send(base, *five, caller="127.0.0.2").status_code == 202
    body = problem(send(base, plain(), caller="127.0.0.3"), 429, "queue_full")
    assert (body["queued"], body["limit"]) == (ROOM, ROOM)


def test_a_retry_needs_room_like_a_new_job(base, database) -> None:
    first = send(base, *[plain()] * LARGEST).headers["Location"]
    assert httpx.post(f"{base}{first}/cancel").status_code == 200
    for _ in range(SHARE // LARGEST):
        assert send(base, *[plain()] * LARGEST).status_code == 202
    body = problem(httpx.post(f"{base}{first}/retry"), 429, "queue_full")
    assert (body["queued"], body["limit"]) == (SHARE, SHARE)
    assert httpx.get(f"{base}{first}").json()["status"] == "canceled"
    assert send(base, plain(), caller="127.0.0.2").status_code == 202
    with database.write() as session:
        session.execute(delete(Job).where(Job.state == "queued"))
    assert httpx.post(f"{base}{first}/retry").status_code == 202


def test_what_has_ended_leaves_room(base, database) -> None:
    ids = [UUID(send(base, *[plain()] * LARGEST).json()["id"]) for _ in range(2)]
    assert send(base, plain()).status_code == 429
    with database.write() as session:
        jobs.cancel(session, ids[0])
    assert send(base, *[plain()] * LARGEST).status_code == 202
    assert send(base, plain()).status_code == 429


def test_a_full_queue_refuses_before_it_looks_at_pictures(base, database) -> None:
    for _ in range(2):
        send(base, *[plain()] * LARGEST)
    problem(send(base, b"no picture at all"), 429, "queue_full")


def test_a_request_that_was_accepted_is_no_new_one(base, database) -> None:
    five = [plain()] * LARGEST
    first = send(base, *five, key="k")
    send(base, *five)
    assert send(base, plain()).status_code == 429
    again = send(base, *five, key="k")
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])


@pytest.mark.parametrize(
    ("pace_s", "retry_after_s"), [(None, 5), (2.0, 10), (0.001, 1), (600.0, 300)]
)
def test_retry_after_is_when_there_will_be_room(own, database, pace_s, retry_after_s) -> None:
    settings = settings_of(own, max_queued=10, max_queued_per_caller=10, max_images=10)
    with database.read() as session:
        admission.admit(session, settings, caller="a", images=10, pace_s=pace_s)
        with pytest.raises(QueueFull) as refused:
            admission.admit(session, settings, caller="a", images=15, pace_s=pace_s)
    assert refused.value.extra["retry_after_s"] == retry_after_s


def test_the_pace_that_workers_measured_is_the_one_that_counts(base, database) -> None:
    with database.write() as session:
        session.add_all(
            Worker(
                id=uuid7(),
                name=f"w{n}",
                device="cpu",
                models={"scenes": {"state": "ready", "detail": None}},
                pace={"scenes": 40.0},
                started_at=now(),
                heartbeat_at=now(),
            )
            for n in range(2)
        )
    for _ in range(2):
        assert send(base, *[plain()] * LARGEST).status_code == 202
    refused = send(base, *[plain()] * LARGEST)
    assert refused.headers["Retry-After"] == "100"  # five too many, at 20 s each
