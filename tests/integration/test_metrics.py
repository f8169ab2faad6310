"""What Prometheus is told is what the rows say."""

from datetime import timedelta
from uuid import UUID

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update
from uuid_utils.compat import uuid7

from captioner import jobs, metrics
from captioner.clock import now, now_plus
from captioner.database import Database
from captioner.errors import CaptionFailed
from captioner.work import Outcome
from models import Job, Worker
from tests import processes
from tests.integration.by_itself import database as database
from tests.integration.by_itself import own as own
from tests.integration.conftest import settings_of
from tests.stacks import Stack

Samples = dict[tuple[str, ...], float]


def scraped(own: Stack, database: Database) -> Samples:
    return samples(metrics.text(settings_of(own), database).decode())


def samples(text: str) -> Samples:
    return {
        (sample.name.removeprefix("captioner_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def finish(database: Database, job_id: UUID, *, model: str = "scenes", failing: bool = False):
    with database.write() as session:
        claims = jobs.claim(
            session, model=model, limit=100, worker="w", lease_s=60, max_attempts=3, retry_s=3600
        )
        assert {claimed.job_id for claimed in claims} == {job_id}
        error = CaptionFailed("no") if failing else None
        jobs.finish(
            session, [Outcome(c, caption=None if failing else "it", error=error) for c in claims]
        )


def test_an_empty_service_has_zeros_and_no_guesses(own, database) -> None:
    found = scraped(own, database)
    assert found["queue_images", "scenes", "queued"] == 0
    assert found["oldest_queued_seconds", "scenes"] == 0
    assert found["jobs", "queued"] == found["workers", "ready"] == found["eta_jobs",] == 0
    assert not any(name[0] in ("seconds_per_image", "eta_ratio") for name in found)


def test_images_and_jobs_are_counted_by_state(own, database, make) -> None:
    finish(database, make(2, model="scenes"))
    finish(database, make(1, model="scenes"), failing=True)
    make(7, model="scenes")
    with database.write() as session:
        jobs.claim(
            session, model="scenes", limit=3, worker="w", lease_s=60, max_attempts=3, retry_s=3600
        )
    waiting = make(2, model="scenes")
    with database.write() as session:
        session.execute(update(Job).where(Job.id == waiting).values(created_at=now_plus(-500)))
    found = scraped(own, database)
    assert found["queue_images", "scenes", "queued"] == 6
    assert found["queue_images", "scenes", "running"] == 3
    assert found["oldest_queued_seconds", "scenes"] == pytest.approx(500, abs=20)
    counted = {state: found["jobs", state] for state in ("queued", "running", "failed")}
    assert counted == {"queued": 1, "running": 1, "failed": 1}
    assert found["jobs", "succeeded"] == 1


def test_a_running_job_with_images_left_is_the_oldest(own, database, make) -> None:
    job_id = make(2, model="scenes")
    with database.write() as session:
        jobs.claim(
            session, model="scenes", limit=1, worker="w", lease_s=60, max_attempts=3, retry_s=3600
        )
        session.execute(update(Job).where(Job.id == job_id).values(created_at=now_plus(-90)))
    assert scraped(own, database)["oldest_queued_seconds", "scenes"] == pytest.approx(90, abs=20)


def test_jobs_of_the_last_hour_are_counted_and_older_ones_are_not(own, database, make) -> None:
    job_id = make(1, model="scenes")
    finish(database, job_id)
    with database.write() as session:
        session.execute(update(Job).where(Job.id == job_id).values(finished_at=now_plus(-3700)))
    assert scraped(own, database)["jobs", "succeeded"] == 0


def test_models_that_are_not_served_are_one_label(own, database, make) -> None:
    for n in range(30):
        make(2, model=f"gone-{n}")
    found = scraped(own, database)
    assert found["queue_images", "other", "queued"] == 60
    assert {name[1] for name in found if name[0] == "queue_images"} == {"scenes", "other"}


def test_the_error_of_forecasts_is_told_in_quantiles(own, database, make) -> None:
    for actual_s in (8, 10, 12, 40):  # each was expected to take 10 s
        job_id = make(1, model="scenes", expected_s=10.0)
        finish(database, job_id)
        with database.write() as session:
            job = session.get(Job, job_id)
            job.finished_at = job.created_at + timedelta(seconds=actual_s)
    finish(database, make(1, model="scenes"))  # nothing was foretold
    found = scraped(own, database)
    assert found["eta_jobs",] == 4
    assert found["eta_error_seconds", "0.5"] == pytest.approx(2)
    assert found["eta_error_seconds", "0.99"] == pytest.approx(30)
    assert found["eta_ratio", "0.5"] == pytest.approx(1.2)
    assert found["eta_ratio", "0.9"] == pytest.approx(4)


def test_living_workers_are_counted_by_what_they_can_do(own, database) -> None:
    with database.write() as session:
        for state, draining, age_s in (
            ("ready", False, 0),
            ("ready", False, 0),
            ("ready", True, 0),
            ("loading", False, 0),
            ("ready", False, 600),
        ):
            session.add(
                Worker(
                    id=uuid7(),
                    name="w",
                    device="cpu",
                    models={"scenes": {"state": state, "detail": None}},
                    draining=draining,
                    pace={"scenes": 0.2},
                    started_at=now(),
                    heartbeat_at=now_plus(-age_s),
                )
            )
    found = scraped(own, database)
    states = {state: found["workers", state] for state in ("ready", "loading", "draining")}
    assert states == {"ready": 2, "loading": 1, "draining": 1}
    assert found["workers", "failed"] == 0
    assert found["seconds_per_image", "scenes"] == pytest.approx(0.1)


def test_the_route_answers_in_prometheus_format_and_503_without_a_database(own, tmp_path) -> None:
    import httpx

    with processes.service(own.environment, tmp_path, workers=0, ready=False) as base:
        answer = httpx.get(f"{base}/metrics")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert ("workers", "ready") in samples(answer.text)
    away = {**own.environment, "CAPTIONER_DATABASE_URL": f"sqlite:///{tmp_path / 'none.db'}"}
    with processes.service(away, tmp_path, workers=0, ready=False) as base:
        assert httpx.get(f"{base}/metrics").json()["code"] == "database_unavailable"
