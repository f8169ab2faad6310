"""Rows 34 and 35 of the fault matrix: receivers that fail, messages that double, workers killed.

Real workers, a real broker, a real receiver. Each test prints its figures on a line.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from captioner import schema
from captioner.broker import celery_app
from captioner.clock import now_plus
from captioner.database import Database
from captioner.publishing import Publisher
from captioner.work import Hook
from models import DeliveryState, WebhookDelivery, WebhookKind
from tests import processes, stacks
from tests.integration.conftest import database, make, settings_of
from tests.integration.webhooks.sending import end
from tests.processes import until
from tests.receivers import SECRET, Receiver, receiver, says
from tests.stacks import Stack

__all__ = ["database", "make"]
EVENTS = 1_000
KILLS = 20
ENVIRONMENT = {
    "CAPTIONER_MODEL": "scenes",
    "CAPTIONER_MODELS": "scenes",
    "CAPTIONER_WEBHOOK_SECRETS": SECRET,
    "CAPTIONER_WEBHOOK_SCHEDULE_S": ",".join(["0.2"] * 30),
    "CAPTIONER_WEBHOOK_TIMEOUT_S": "2",
    "CAPTIONER_OUTBOUND_ALLOW": "127.0.0.1:*",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    with stacks.started("postgres-valkey", folder) as started:
        schema.upgrade(settings_of(started))
        yield started


def fails_often(seed: int) -> Callable[[BaseHTTPRequestHandler], None]:
    """Three answers in ten are bad: errors, redirects, and connections that are cut."""
    rng = random.Random(seed)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        how = rng.choice([500, 503, 302, "cut"]) if rng.random() < 0.3 else 200
        if how == "cut":
            handler.close_connection = True
        else:
            says(int(how), ("Location", "/elsewhere"))(handler)

    return answer


def take_no_part(database: Database) -> None:
    """Deliveries of the tests before go on no longer."""
    with database.write() as session:
        session.execute(
            update(WebhookDelivery)
            .where(WebhookDelivery.state == DeliveryState.PENDING)
            .values(state=DeliveryState.FAILED)
        )


def states(database: Database, job_ids: list[UUID]) -> Counter[str]:
    with database.read() as session:
        rows = session.execute(
            select(WebhookDelivery.state, func.count())
            .where(WebhookDelivery.job_id.in_(job_ids))
            .group_by(WebhookDelivery.state)
        )
        return Counter({row.state: row[1] for row in rows})


def ids(database: Database, job_ids: list[UUID]) -> set[str]:
    with database.read() as session:
        found = session.scalars(
            select(WebhookDelivery.id).where(WebhookDelivery.job_id.in_(job_ids))
        )
        return {str(each) for each in found}


def over(database: Database, job_ids: list[UUID]) -> bool:
    return DeliveryState.PENDING not in states(database, job_ids)


@contextmanager
def worker(stack: Stack, folder: Path) -> Iterator:
    environment = {**stack.environment, **ENVIRONMENT}
    command = [processes.CAPTIONER, "worker"]
    with processes.running(command, environment, log=folder / "worker.log") as process:
        yield process


def report(what: str, events: int, found: Receiver, states: Counter[str], began: float) -> None:
    lost = events - states[DeliveryState.DELIVERED]
    print(
        f"\n{what}: {events} events, {len(found.received)} POSTs, "
        f"{len(found.ids)} ids, {states[DeliveryState.DELIVERED]} delivered, {lost} lost, "
        f"{len(found.bad)} bad signatures, {time.monotonic() - began:.0f} s"
    )


@pytest.mark.long
def test_a_thousand_events_arrive_though_three_answers_in_ten_are_bad(
    stack, database, make, tmp_path
) -> None:
    with receiver(then=fails_often(7)) as found:
        job_ids = [make(1, webhook=Hook(found.url)) for _ in range(EVENTS)]
        for job_id in job_ids:
            end(database, job_id)
        began = time.monotonic()
        with worker(stack, tmp_path):
            until(lambda: over(database, job_ids), what="end of all", timeout_s=300)
    report("30 % failure", EVENTS, found, states(database, job_ids), began)
    assert states(database, job_ids) == {DeliveryState.DELIVERED: EVENTS}
    assert found.ids == ids(database, job_ids)
    assert found.bad == []
    assert len(found.received) > 1.2 * EVENTS  # the receiver did fail


def test_doubled_messages_make_one_webhook_of_each_kind(stack, database, make, tmp_path) -> None:
    jobs = 100
    publisher = Publisher(
        celery_app(settings_of(stack)),
        on_failure=lambda parcel: pytest.fail(str(parcel)),
        size=16,
    )
    with receiver() as found:
        hook = Hook(found.url, tuple(WebhookKind))
        job_ids = [make(1, webhook=hook) for _ in range(jobs)]
        for job_id in job_ids:
            end(database, job_id)
        for delivery_id in sorted(ids(database, job_ids)) * 2:
            publisher.send_webhook(UUID(delivery_id))
        began = time.monotonic()
        with worker(stack, tmp_path):
            until(lambda: over(database, job_ids), what="end of all", timeout_s=120)
            time.sleep(2)  # what else is in the queue
    report("messages doubled", 2 * jobs, found, states(database, job_ids), began)
    assert states(database, job_ids) == {DeliveryState.DELIVERED: 2 * jobs}
    assert Counter(each.id for each in found.received) == Counter(ids(database, job_ids))
    assert found.bad == []


@pytest.mark.long
def test_workers_killed_twenty_times_lose_no_webhook(stack, database, make, tmp_path) -> None:
    take_no_part(database)
    with receiver(then=fails_often(11)) as found:
        job_ids = [make(1, webhook=Hook(found.url)) for _ in range(EVENTS)]
        for job_id in job_ids:
            end(database, job_id)
        began = time.monotonic()
        for n in range(KILLS):
            goal = (n + 1) * EVENTS // (KILLS + 2)
            with worker(stack, tmp_path) as process:
                until(lambda goal=goal: len(found.ids) >= goal, what="webhooks", timeout_s=60)
                process.kill()
        with worker(stack, tmp_path):
            until(lambda: over(database, job_ids), what="end of all", timeout_s=120)
    report(f"{KILLS} kills -9 and 30 % failure", EVENTS, found, states(database, job_ids), began)
    assert states(database, job_ids) == {DeliveryState.DELIVERED: EVENTS}
    assert found.ids == ids(database, job_ids)
    assert found.bad == []


def test_a_receiver_that_is_down_for_long_gets_all_of_it(stack, database, make, tmp_path) -> None:
    jobs, port = 50, processes.free_port()
    job_ids = [make(1, webhook=Hook(f"http://127.0.0.1:{port}/hook")) for _ in range(jobs)]
    for job_id in job_ids:
        end(database, job_id)
    with worker(stack, tmp_path):
        until(lambda: tried(database, job_ids) >= 2, what="two failures of each", timeout_s=60)
        with database.write() as session:  # ten minutes pass
            session.execute(
                update(WebhookDelivery)
                .where(WebhookDelivery.job_id.in_(job_ids))
                .values(next_at=now_plus(1), failures=2)
            )
        began = time.monotonic()
        with receiver(port=port) as found:
            until(lambda: over(database, job_ids), what="end of all", timeout_s=60)
    report("receiver down, then up", jobs, found, states(database, job_ids), began)
    assert states(database, job_ids) == {DeliveryState.DELIVERED: jobs}
    assert found.ids == ids(database, job_ids)


def tried(database: Database, job_ids: list[UUID]) -> int:
    with database.read() as session:
        return session.scalar(
            select(func.min(WebhookDelivery.failures)).where(WebhookDelivery.job_id.in_(job_ids))
        )
