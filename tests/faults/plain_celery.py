"""Celery as most people run it, to stand beside us: acks late, Redis, threads pool, no reconciler.

The task works as long as the witness does for a batch, and appends one line for each image. Run
as `python -m tests.faults.plain_celery RESULT_FILE REDIS_URL` it is a worker.
"""

import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import redis
from celery import Celery

from tests.faults.fleet import Fleet, any_of
from tests.faults.load import Batch, batches
from tests.faults.report import Row
from tests.faults.servers import Redis, redis_server
from tests.faults.witness import BATCH_S
from tests.processes import ROOT

VISIBILITY_S = 8
"""Low, in favour of plain Celery: its default brings messages back after an hour."""
QUEUE = "plain"
MESSAGE_IMAGES = 16
QUIET_S = 2.5 * VISIBILITY_S
"""So long without any result after the queue ran empty: what is missing now will not come."""
LONGEST_S = 120.0


def application(url: str, results: Path | None = None) -> Celery:
    """The application, with its one task where results are given."""
    app = Celery("plain", broker=url)
    app.conf.update(
        task_acks_late=True,
        task_ignore_result=True,
        task_default_queue=QUEUE,
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_S,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
            "socket_timeout": 10,
            "socket_connect_timeout": 3,
        },
    )
    if results is not None:
        _task(app, results)
    return app


def _task(app: Celery, results: Path) -> None:
    file = os.open(results, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    @app.task(name="plain.caption")
    def caption(numbers: list[int]) -> None:
        time.sleep(random.uniform(*BATCH_S))
        os.write(file, "".join(f"{number}\n" for number in numbers).encode())


@dataclass
class Outcome:
    """What became of the images."""

    sent: int = 0
    lost: int = 0
    twice: int = 0
    dead: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    def rows(self, run: str) -> list[Row]:
        total = Row(
            run, "all of these", self.faults.total(), self.sent, self.lost, self.twice, 0, self.dead
        )
        return [total, *(Row(run, name, count) for name, count in self.faults.items())]


def endure(
    folder: Path, events: Sequence[tuple[float, str]], *, images: int, span_s: float, seed: int
) -> Outcome:
    """The same load and the faults that there are for it, on plain Celery."""
    results, outcome = folder / "plain.txt", Outcome()
    results.touch()
    with redis_server(folder) as server, Fleet() as fleet:
        command = [sys.executable, "-P", "-m", "tests.faults.plain_celery", str(results)]
        for number in (1, 2):
            name = f"plain-{number}"
            fleet.add(
                name, [*command, server.url], {"PYTHONPATH": str(ROOT)}, log=folder / f"{name}.log"
            )
        posts = batches(images=images, span_s=span_s, seed=seed)
        sender = threading.Thread(target=_send_all, args=(server.url, posts, outcome), daemon=True)
        sender.start()
        _break(server, fleet, events, outcome)
        sender.join(timeout=span_s + LONGEST_S)
        _wait_until_quiet(results, images)
        outcome.dead = len(fleet.surprises())
    seen = Counter(int(line) for line in results.read_text().split())
    outcome.lost = outcome.sent - len(seen)
    outcome.twice = sum(count > 1 for count in seen.values())
    return outcome


def _send_all(url: str, posts: Sequence[Batch], outcome: Outcome) -> None:
    app, started = application(url), time.monotonic()
    for post in posts:
        time.sleep(max(0.0, started + post.at_s - time.monotonic()))
        for start in range(0, len(post.numbers), MESSAGE_IMAGES):
            numbers = list(post.numbers[start : start + MESSAGE_IMAGES])
            while not _sent(app, numbers):
                time.sleep(0.2)
            outcome.sent += len(numbers)


def _sent(app: Celery, numbers: list[int]) -> bool:
    try:
        app.send_task("plain.caption", args=(numbers,), queue=QUEUE, retry=False)
    except Exception:  # whatever kombu raises: a caller would try again
        return False
    return True


def _break(
    server: Redis, fleet: Fleet, events: Sequence[tuple[float, str]], outcome: Outcome
) -> None:
    started, rng = time.monotonic(), random.Random(1)
    for at_s, name in events:
        time.sleep(max(0.0, started + at_s - time.monotonic()))
        if name == "worker kill -9":
            any_of(fleet.slots, rng).send(signal.SIGKILL)
        elif name == "redis restart":
            server.end(signal.SIGTERM)
            time.sleep(1.0)
            server.start()
        elif name == "redis FLUSHALL":
            with suppress(redis.RedisError):
                server.client.flushall()
        else:
            continue  # it has neither a database nor an API
        outcome.faults[name] += 1


def _wait_until_quiet(results: Path, images: int) -> None:
    deadline, last, changed = time.monotonic() + LONGEST_S, -1, time.monotonic()
    while time.monotonic() < min(deadline, changed + QUIET_S):
        size = results.stat().st_size
        if size != last:
            last, changed = size, time.monotonic()
        if len(set(results.read_text().split())) >= images:
            return
        time.sleep(0.5)


if __name__ == "__main__":
    from cli.lifeline import end_with_parent

    end_with_parent()
    application(sys.argv[2], Path(sys.argv[1])).worker_main(
        ["worker", "--pool=threads", "--concurrency=32", f"--queues={QUEUE}", "--loglevel=WARNING"]
    )
