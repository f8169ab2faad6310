"""A request may be sent twice: with a key, it makes one job."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import delete, func, select, update

from captioner import idempotency, jobs
from captioner.clock import now, now_plus
from captioner.database import Database
from captioner.work import Outcome
from models import DeletedJob, IdempotencyKey, Job
from tests import keyed, processes
from tests.empty import emptied
from tests.integration.calls import files, problem
from tests.pictures import b64, plain
from tests.stacks import Stack

DAY_S = 86_400


@pytest.fixture(scope="module")
def own(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with emptied(stack, tmp_path_factory.mktemp("keys")) as emptied_stack:
        yield emptied_stack


@pytest.fixture(scope="module")
def base(own: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An API without a worker: what is accepted is only stored."""
    folder = tmp_path_factory.mktemp("api")
    with processes.service(own.environment, folder, workers=0, ready=False) as address:
        yield address


@pytest.fixture
def database(own: Stack) -> Iterator[Database]:
    opened = Database(own.database_url)
    yield opened
    opened.close()


@pytest.fixture
def key() -> str:
    return str(uuid4())


def send(base: str, key: str, *pictures: bytes, path: str = "/captionImage", **fields: str):
    pictures = pictures or (plain(),)
    return httpx.post(
        f"{base}{path}",
        files=files(*pictures),
        data=fields,
        headers={"Idempotency-Key": key},
        timeout=30,
    )


def count(database: Database, record) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(record)) or 0


def test_the_same_request_again_is_the_same_job(base, key, database) -> None:
    before = count(database, Job)
    first, second = send(base, key, plain(), plain("blue")), send(base, key, plain(), plain("blue"))
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] == second.json()["id"]
    assert first.headers["Location"] == second.headers["Location"]
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert count(database, Job) == before + 1


def test_json_and_a_form_with_the_same_pictures_are_the_same_request(base, key) -> None:
    first = send(base, key, plain(), prompt="a photo of")
    second = httpx.post(
        f"{base}/captionImage",
        json={"imgb64s": [b64(plain())], "prompt": "a photo of"},
        headers={"Idempotency-Key": f'"{key}"'},
    )
    assert second.json()["id"] == first.json()["id"]


@pytest.mark.parametrize(
    "change",
    [{"prompt": "a"}, {"priority": "high"}, {"model": "scenes"}, {"store": "false"}],
    ids=lambda change: next(iter(change)),
)
def test_another_option_with_the_key_is_refused(base, key, change) -> None:
    send(base, key)
    problem(send(base, key, **change), 422, "idempotency_key_reuse")


def test_another_picture_with_the_key_is_refused_and_not_stored(base, key, database, own) -> None:
    send(base, key)
    before = count(database, Job)
    blobs = sorted(Path(own.environment["CAPTIONER_DATA_DIR"]).rglob("blobs/**/*"))
    unseen = plain("teal", 77, 33)
    problem(send(base, key, unseen), 422, "idempotency_key_reuse")
    problem(send(base, key, plain(), unseen), 422, "idempotency_key_reuse")
    assert count(database, Job) == before
    assert blobs == sorted(Path(own.environment["CAPTIONER_DATA_DIR"]).rglob("blobs/**/*"))


def test_another_callers_key_is_another_key(base, key) -> None:
    first = send(base, key)
    with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2")) as other:
        second = other.post(
            f"{base}/captionImage",
            files=files(plain("blue")),
            headers={"Idempotency-Key": key},
        )
    assert second.status_code == 202
    assert second.json()["id"] != first.json()["id"]


@pytest.mark.parametrize("bad", ["x" * 300, '"  "', '""', "caf\xe9"])
def test_what_is_no_key_is_refused(base, bad) -> None:
    response = httpx.post(
        f"{base}/captionImage",
        files=files(plain()),
        headers={"Idempotency-Key": bad.encode("latin-1")},
    )
    problem(response, 400, "invalid_idempotency_key")


def test_a_refused_request_uses_no_key_up(base, key) -> None:
    problem(send(base, key, b"no picture"), 415, "unsupported_image_format")
    assert send(base, key).status_code == 202


def test_a_key_is_forgotten_after_a_day(base, key, database) -> None:
    first = send(base, key)
    for age_s, replayed in ((DAY_S - 60, True), (DAY_S + 60, False)):
        with database.write() as session:
            session.execute(
                update(IdempotencyKey)
                .where(IdempotencyKey.key == key)
                .values(created_at=now_plus(-age_s))
            )
        again = send(base, key, *(() if replayed else (plain("blue"),)))
        assert (again.json()["id"] == first.json()["id"]) is replayed
    assert send(base, key, plain("blue")).json()["id"] == again.json()["id"]


def test_the_key_of_a_deleted_job_makes_no_second_one(base, key, database) -> None:
    job_id = UUID(send(base, key).json()["id"])
    with database.write() as session:
        session.execute(delete(Job).where(Job.id == job_id))
        session.add(DeletedJob(id=job_id, deleted_at=now(), reason="asked"))
    body = problem(send(base, key), 410, "job_deleted")
    assert body["reason"] == "asked"


def test_a_blocking_call_waits_for_the_same_job(base, key, database) -> None:
    waiting = send(base, key, path="/captionImageBlocking?timeout=0")
    assert waiting.status_code == 202
    job_id = UUID(waiting.json()["id"])
    answers: list[httpx.Response] = []
    thread = threading.Thread(
        target=lambda: answers.append(send(base, key, path="/captionImageBlocking?timeout=20"))
    )
    thread.start()
    time.sleep(1)
    with database.write() as session:
        claims = jobs.claim(
            session,
            model="scenes",
            limit=1000,
            worker="w",
            lease_s=60,
            max_attempts=3,
            retry_s=3600,
        )
        jobs.finish(session, [Outcome(c, caption="it") for c in claims if c.job_id == job_id])
    thread.join()
    (answer,) = answers
    assert answer.status_code == 200
    assert (answer.json()["id"], answer.json()["result"]) == (str(job_id), ["it"])
    assert answer.headers["Idempotency-Replayed"] == "true"
    late = send(base, key)
    assert (late.status_code, late.json()["status"]) == (202, "succeeded")


def test_a_request_waits_a_little_for_the_first_with_its_key(base, key, database, own) -> None:
    """Postgres: 409 after two seconds. SQLite has one writer, for which the second waits."""
    first: httpx.Response | None = None
    with database.write() as session:
        idempotency.take(
            session,
            caller="127.0.0.1",
            key=key,
            fingerprint="f" * 64,
            job_id=uuid4(),
            keep_s=DAY_S,
        )
        if not own.name.startswith("sqlite"):
            first = send(base, key)
    if first is not None:
        problem(first, 409, "idempotency_in_progress")
        assert int(first.headers["Retry-After"]) > 0
        assert 1.5 < first.elapsed.total_seconds() < 4
    problem(send(base, key), 422, "idempotency_key_reuse")


def test_many_at_once_with_one_key_make_one_job(base, database) -> None:
    keys = keyed.keys(10)
    before = count(database, Job)
    answers = keyed.send_all_at_once(base, keys, times=20)
    assert set(answers.statuses) <= {"202", "409"}
    assert [len(answers.jobs[key]) for key in keys] == [1] * 10
    assert count(database, Job) == before + 10


def test_an_api_killed_before_the_commit_leaves_nothing_behind(stack, tmp_path) -> None:
    port, keys = processes.free_port(), keyed.keys(12)
    with emptied(stack, tmp_path) as own:
        database = Database(own.database_url)
        with keyed.dying_api(own.environment, tmp_path, last=3, port=port):
            base = f"http://127.0.0.1:{port}"
            processes.until(lambda: processes.answers(f"{base}/healthz"), what="API")
            answers = keyed.send_until_accepted(base, keys, callers=4)
        assert answers.statuses["cut off"] > 0
        assert set(answers.statuses) <= {"202", "409", "503", "cut off"}
        assert [len(answers.jobs[key]) for key in keys] == [1] * 12
        assert keyed.jobs_made(database, keys) == 12
        database.close()
