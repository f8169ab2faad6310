"""What passed through this API: requests, and what was accepted of them.

Under gunicorn, its processes write to files in one folder, and whoever is scraped adds them up
(`PROMETHEUS_MULTIPROC_DIR`, set by `api.serving`). Else the sums are this process's own. Labels
have few values: a route's template, a method that HTTP knows, a class of status codes, a model that
is served, a code of `captioner.errors`.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Summary,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
NO_ROUTE, OTHER = "none", "other"
SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Names that folder. prometheus_client reads it, too, when it is imported."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Traffic:
    """The counts. Opens no file before the first is counted. Thread-safe."""

    def __init__(self) -> None:
        self._together = SHARED in os.environ
        disable_created_metrics()  # type: ignore[no-untyped-call] # one more series for each
        self._own = own = CollectorRegistry()
        self._requests = Counter(
            "captioner_http_requests",
            "Requests that were answered.",
            ["route", "method", "code"],
            registry=own,
        )
        self._seconds = Summary(
            "captioner_http_request_seconds",
            "Time until an answer began.",
            ["route"],
            registry=own,
        )
        self._errors = Counter(
            "captioner_http_errors",
            "Requests that were answered with an error.",
            ["code"],
            registry=own,
        )
        self._jobs = Counter("captioner_accepted_jobs", "New jobs.", ["model"], registry=own)
        self._images = Counter(
            "captioner_accepted_images", "Pictures of new jobs.", ["model"], registry=own
        )
        own.register(_Memory())

    def answered(
        self, *, route: str | None, method: str, status: int, seconds: float, error: str | None
    ) -> None:
        """A request was answered, or its answer has begun; `error` is the code of a problem."""
        template = route or NO_ROUTE
        known = method if method in METHODS else OTHER
        self._requests.labels(template, known, f"{status // 100}xx").inc()
        self._seconds.labels(template).observe(seconds)
        if error is not None:
            self._errors.labels(error).inc()

    def accepted(self, model: str, images: int) -> None:
        """A job was stored."""
        self._jobs.labels(model).inc()
        self._images.labels(model).inc(images)

    def text(self) -> bytes:
        """The metrics, in Prometheus' text format, of all processes of this server."""
        if not self._together:
            return generate_latest(self._own)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        together.register(_Memory())
        return generate_latest(together)


class _Memory(Collector):
    def collect(self) -> Iterator[Metric]:
        yield Gauge(
            "captioner_api_memory_bytes",
            "Resident memory of the API's processes; what they share counts for each.",
            value=sum(map(_resident, _family())),
        )


def _family() -> Iterator[int]:
    """This process and those that were forked with it: gunicorn's."""
    own, parent = os.getpid(), os.getppid()
    try:
        siblings = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        served = (
            Path(f"/proc/{parent}/cmdline").read_bytes()
            == Path(f"/proc/{own}/cmdline").read_bytes()
        )
    except OSError:
        siblings, served = [], False
    yield from {own, parent, *map(int, siblings)} if served else {own}


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except (OSError, IndexError, ValueError):  # it has just ended, or this is no Linux
        return 0
