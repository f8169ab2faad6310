"""One whole service of our own, made to be broken: servers, API, workers, and the settings."""

import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from captioner import schema
from captioner.catalog import queue_of
from captioner.settings import Settings
from tests.faults.fleet import Fleet, Slot
from tests.faults.servers import (
    Postgres,
    Rabbit,
    Redis,
    postgres_server,
    rabbit_server,
    redis_server,
)
from tests.faults.witness import MODEL
from tests.processes import ROOT, answers, free_port, until

SETTINGS = {
    "CAPTIONER_MODEL": MODEL,
    "CAPTIONER_MODELS": MODEL,
    "CAPTIONER_LEASE_S": "10",
    "CAPTIONER_HEARTBEAT_S": "2",
    "CAPTIONER_RECONCILE_S": "2",
    "CAPTIONER_HANG_S": "8",
    "CAPTIONER_MAX_BATCH": "16",
    "CAPTIONER_DECODE_PROCESSES": "1",
    "CAPTIONER_KEEP_ORPHANS_S": "10",
    "CAPTIONER_API_PROCESSES": "2",
}
QUEUE = queue_of(MODEL)


@dataclass
class Stand:
    """Everything that a fault may need to get at."""

    folder: Path
    broker: str
    base: str
    redis: Redis
    postgres: Postgres
    rabbit: Rabbit | None
    fleet: Fleet
    rng: random.Random
    settings: dict[str, str] = field(default_factory=dict)
    dying: Lock = field(default_factory=Lock)
    """Held while an API process is ordered to die: one order, one death."""

    @property
    def witness_file(self) -> Path:
        return self.folder / "witness.txt"

    @property
    def die_order(self) -> Path:
        """While this file exists, an API process dies after its next commit."""
        return self.folder / "die-after-commit"

    @property
    def workers(self) -> list[Slot]:
        return self.fleet.named("worker")

    @property
    def blobs(self) -> Path:
        return self.folder / "data" / "blobs"

    def left(self, *, taken: bool) -> int:
        """Messages that the broker still has; `taken`: on Redis, also those of dead workers."""
        return self.rabbit.left(QUEUE) if self.rabbit else self.redis.left(QUEUE, taken=taken)


@contextmanager
def standing(
    folder: Path,
    *,
    broker: str,
    workers: int = 2,
    seed: int = 1,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Stand]:
    """The service, ready, for the length of the block; then no process of it is left."""
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(folder))
        postgres = stack.enter_context(postgres_server())
        rabbit = stack.enter_context(rabbit_server(QUEUE)) if broker == "rabbitmq" else None
        port = free_port()
        extra = {
            **SETTINGS,
            **(settings or {}),
            "CAPTIONER_DATA_DIR": str(folder / "data"),
            "CAPTIONER_DATABASE_URL": postgres.url,
            "CAPTIONER_REDIS_URL": redis.url,
            "CAPTIONER_PORT": str(port),
            "PYTHONPATH": str(ROOT),
        }
        if rabbit:
            extra["CAPTIONER_BROKER_URL"] = rabbit.url
        schema.upgrade(Settings(database_url=postgres.url))
        fleet = stack.enter_context(Fleet())
        base = f"http://127.0.0.1:{port}"
        stand = Stand(
            folder, broker, base, redis, postgres, rabbit, fleet, random.Random(seed), extra
        )
        _start(stand, workers)
        yield stand


def _start(stand: Stand, workers: int) -> None:
    python = (sys.executable, "-P", "-m")
    witness = str(stand.witness_file)
    api = [*python, "tests.faults.api", witness, str(stand.die_order)]
    stand.fleet.add("api", api, stand.settings, log=stand.folder / "api.log")
    for number in range(1, workers + 1):
        name = f"worker-{number}"
        command = [*python, "tests.faults.worker", witness]
        stand.fleet.add(name, command, stand.settings, log=stand.folder / f"{name}.log")
    until(lambda: answers(f"{stand.base}/readyz"), what=f"service (see {stand.folder})")
