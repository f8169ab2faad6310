"""What one worker tells Prometheus of itself, on a port of its own, where that is wanted.

The same is told of all workers together by the API's `/metrics`, from the database. Here it is as
it is now, with what only the process knows: its memory, and the batch that runs.
"""

import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Thread
from typing import Protocol
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from captioner import style_metrics, work_metrics
from captioner.metrics import OTHER
from captioner.settings import Settings
from worker.meters import Meters

log = logging.getLogger(__name__)

MOST_WORKERS = 64
"""Ports that are tried, from the one that was named."""


class House(Protocol):
    """What is asked of `worker.engines.house.EngineHouse`."""

    def longest_run_s(self) -> float:
        """How long the batch has run that is running longest; 0 when none is."""

    def waiting(self) -> dict[str, int]:
        """Model to the number of pictures that wait for a batch."""


class Telling:
    """The metrics of one worker, and the server that shows them once it is started."""

    def __init__(
        self, settings: Settings, meters: Meters, house: House, held: Callable[[], int]
    ) -> None:
        self._settings = settings
        self._meters = meters
        self._house = house
        self._held = held
        self._server: tuple[WSGIServer, Thread] | None = None
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(_Collected(self))

    def start(self) -> None:
        """Listen, if a port is set. One that is taken is another worker's: the next is tried.

        None that is free is no reason not to work: it is logged.
        """
        first, host = self._settings.worker_metrics_port, self._settings.worker_metrics_host
        if not first:
            return
        for port in range(first, min(first + MOST_WORKERS, 65_536)):
            try:
                self._server = start_http_server(port, host, self.registry)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    continue
                log.warning("No metrics are told: %s.", error, extra={"action": "metrics_off"})
                return
            log.info("Metrics are told on port %d.", port, extra={"action": "metrics_on"})
            return
        log.warning("No metrics are told: every port is taken.", extra={"action": "metrics_off"})

    def close(self) -> None:
        """End the server."""
        if self._server is not None:
            server, thread = self._server
            server.shutdown()
            with suppress(OSError):
                server.server_close()
            thread.join(timeout=1)

    def families(self) -> Iterator[Metric]:
        """Everything but what the process collector tells."""
        served = self._settings.served_models
        sums, prefix = self._meters.all(), work_metrics.WORKER
        of_models = style_metrics.of_models(sums)
        yield from work_metrics.families(of_models, served, other=OTHER, prefix=prefix)
        yield from style_metrics.counted(sums, prefix=prefix)
        yield Gauge(
            "captioner_worker_held_images", "Pictures in hand, at any stage.", value=self._held()
        )
        yield Gauge(
            "captioner_worker_batch_running_seconds",
            "How long the batch has run that is running longest; 0 when none is.",
            value=self._house.longest_run_s(),
        )
        waiting = Gauge(
            "captioner_worker_waiting_images", "Pictures that wait for a batch.", labels=["model"]
        )
        for model, number in self._house.waiting().items():
            waiting.add_metric([model], number)
        yield waiting


class _Collected(Collector):
    def __init__(self, telling: Telling) -> None:
        self._telling = telling

    def collect(self) -> Iterator[Metric]:
        return self._telling.families()
