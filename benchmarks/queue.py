"""What the queue costs: the whole service around an engine that costs nothing, on one machine.

Jobs of one picture and of 32, sent over HTTP by a few connections, from the first request to the
last caption in the database; the blocking call; and a caption that is remembered.
"""

import http.client
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path
from threading import local
from urllib.request import urlopen

from PIL import Image
from sqlalchemy import func, select

from benchmarks.report import ADDITIONS, additions_s, heading, keep
from captioner import schema
from captioner.database import Database
from captioner.settings import Settings
from models import Job
from tests import processes, stacks
from tests.pictures import encoded

CONNECTIONS = 16
SINGLES, JOBS_OF_32, CALLS, ROUNDS = 1_000, 100, 200, 3
numbers = count(1)
"""No two pictures are the same, so that none is remembered or shared."""


@dataclass(frozen=True)
class Form:
    """A multipart body, made before the clock starts."""

    body: bytes
    kind: str


def picture() -> bytes:
    """64 x 48, of a colour of its own."""
    number = next(numbers)
    colour = (number >> 16 & 255, number >> 8 & 255, number & 255)
    return encoded(Image.new("RGB", (64, 48), colour))


def form(pictures: list[bytes]) -> Form:
    """One part for each picture."""
    mark = "captioner-benchmark"
    head = 'Content-Disposition: form-data; name="images"; filename="a.png"'
    parts = [f"--{mark}\r\n{head}\r\n\r\n".encode() + data + b"\r\n" for data in pictures]
    return Form(
        b"".join(parts) + f"--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}"
    )


class Door:
    """The service's HTTP surface, over one connection for each thread."""

    def __init__(self, base: str) -> None:
        self._address = base.removeprefix("http://")
        self._mine = local()

    def post(self, path: str, sent: Form) -> tuple[int, dict]:
        """Status and body of the answer."""
        if not hasattr(self._mine, "connection"):
            self._mine.connection = http.client.HTTPConnection(self._address, timeout=300)
        self._mine.connection.request("POST", path, sent.body, {"Content-Type": sent.kind})
        answer = self._mine.connection.getresponse()
        return answer.status, json.loads(answer.read())

    def workers_ready(self) -> int:
        """Workers that have their model."""
        with urlopen(f"http://{self._address}/workers", timeout=30) as answer:
            found = json.load(answer)
        return sum(worker["models"]["scenes"]["state"] == "ready" for worker in found)

    def submit(self, sent: Form) -> str:
        """The id of the job."""
        status, body = self.post("/captionImage", sent)
        assert status == 202, body
        return str(body["id"])

    def blocking_ms(self, sent: Form) -> float:
        """How long the blocking call took."""
        started = time.perf_counter()
        status, body = self.post("/captionImageBlocking", sent)
        assert status == 200, body
        return (time.perf_counter() - started) * 1e3


@dataclass(frozen=True)
class Place:
    """A running service."""

    door: Door
    database: Database

    def finish(self, jobs: int) -> None:
        """Wait until so many jobs have ended."""
        deadline = time.monotonic() + 600
        while self.ended() < jobs:
            assert time.monotonic() < deadline, "the jobs have no end"
            time.sleep(0.02)

    def ended(self) -> int:
        """Jobs that have ended."""
        with self.database.read() as session:
            ended = select(func.count()).select_from(Job).where(Job.finished_at.is_not(None))
            return session.scalar(ended) or 0


@lru_cache
def kept() -> tempfile.TemporaryDirectory:
    """Where all of it lies until the end: where many files were removed, ext4 looks for minutes
    longer for room for new ones.
    """
    return tempfile.TemporaryDirectory()


@contextmanager
def serving(
    stack: str, *, batch_s: float = 0.0, picture_s: float = 0.0, workers: int = 1, **more: str
) -> Iterator[Place]:
    """API and workers with the free engine, for the length of the block."""
    name = tempfile.mkdtemp(dir=kept().name)
    with stacks.started(stack, Path(name)) as started, ExitStack() as parts:
        env = {
            **started.environment, "CAPTIONER_MODEL": "scenes", "CAPTIONER_MODELS": "scenes",
            "CAPTIONER_PORT": str(processes.free_port()), "CAPTIONER_MAX_IMAGES": "10000", **more,
        }  # fmt: skip
        schema.upgrade(Settings(database_url=started.database_url))
        base = f"http://127.0.0.1:{env['CAPTIONER_PORT']}"
        worker = [sys.executable, "-P", "-m", "benchmarks.free_worker"]
        worker += [str(batch_s), str(picture_s)]
        env["PYTHONPATH"] = str(processes.ROOT)
        log = Path(name) / "log"
        for part in ([processes.CAPTIONER, "api"], *[worker] * workers):
            parts.enter_context(processes.running(part, env, log=log))
        processes.until(lambda: processes.answers(f"{base}/readyz"), what="service")
        door = Door(base)
        processes.until(lambda: door.workers_ready() == workers, what="workers")
        database = parts.enter_context(closing(Database(started.database_url)))
        yield Place(door, database)


def per_second(place: Place, jobs: int, images: int) -> float:
    """Images per second, from the first request to the last caption."""
    forms = [form([picture() for _ in range(images)]) for _ in range(jobs)]
    before = place.ended()
    started = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(place.door.submit, forms))
    place.finish(before + jobs)
    return jobs * images / (time.perf_counter() - started)


def rounds(place: Place, jobs: int, images: int) -> str:
    """The median of some rounds, each of them, and what one picture costs on any machine: as long
    as so many additions in Python take just before and after.
    """
    found, costs = [], []
    speed_s = additions_s()
    for _ in range(ROUNDS):
        before_s, rate = speed_s, per_second(place, jobs, images)
        speed_s = additions_s()
        found.append(rate)
        costs.append(ADDITIONS / ((before_s + speed_s) / 2) / rate)
    each = ", ".join(f"{rate:.0f}" for rate in found)
    return (
        f"{statistics.median(found):7.0f} a second (rounds: {each}); "
        f"each as long as {statistics.median(costs) / 1e3:.0f} thousand additions"
    )


def spread(found: list[float]) -> str:
    """Median and 99th percentile."""
    p99 = statistics.quantiles(found, n=100)[98]
    return f"p50 {statistics.median(found):6.1f} ms, p99 {p99:6.1f} ms"


def costs(stack: str) -> list[str]:
    """The lines of one stack."""
    with serving(stack, CAPTIONER_CACHE_TTL_S="3600") as place:
        warm(place)
        jobs = rounds(place, SINGLES, 1)
        images = rounds(place, JOBS_OF_32, 32)
        blocking = [place.door.blocking_ms(form([picture()])) for _ in range(CALLS)]
        known = form([picture()])
        for _ in range(3):
            place.door.blocking_ms(known)
            time.sleep(0.5)
        hits = [place.door.blocking_ms(known) for _ in range(CALLS)]
    with serving(stack, workers=2, CAPTIONER_CACHE_TTL_S="3600") as place:
        warm(place)
        by_two = rounds(place, JOBS_OF_32, 32)
    return [
        f"{stack}",
        f"  jobs of one picture   {jobs}",
        f"  pictures in jobs of 32{images}",
        f"  with two workers      {by_two}",
        f"  blocking call         {spread(blocking)}",
        f"  remembered caption    {spread(hits)}",
    ]


def warm(place: Place) -> None:
    """What every process does at first, and never again."""
    per_second(place, 50, 1)
    per_second(place, 20, 32)


def main() -> None:
    """Measure, print and keep."""
    settings: dict[str, object] = {
        "connections": CONNECTIONS, "jobs": SINGLES, "jobs_of_32": JOBS_OF_32, "calls": CALLS,
        "rounds": ROUNDS, "api_processes": 2, "workers": "1, then 2",
    }  # fmt: skip
    lines = [line for stack in stacks.DEFAULT.split(",") for line in costs(stack)]
    keep("queue", heading("What the queue costs", settings) + "\n".join(lines))
