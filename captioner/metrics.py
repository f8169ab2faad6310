"""The metrics, in Prometheus' text format (version 0.0.4), as the database has them right now.

They are read at each scrape, so that every API process tells the same, and a restart forgets
nothing. Labels have few values: states, quantiles, and the models that are served; the rest of the
models, which old jobs may name, is `other`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily as Counts
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.registry import Collector
from sqlalchemy.orm import Session

from captioner import (
    census,
    figures,
    forecast,
    queries,
    room_metrics,
    style_metrics,
    tallies,
    work_metrics,
)
from captioner.census import Foreseen
from captioner.database import Database
from captioner.settings import Settings
from captioner.tallies import Tally
from models import SERVING, JobState, Worker

__all__ = ["CONTENT_TYPE", "text"]

OTHER = "other"
QUANTILES = (0.5, 0.9, 0.99)
WORKER_STATES = ("ready", "loading", "failed", "draining")


def text(settings: Settings, database: Database) -> bytes:
    """All metrics of the service. Raises `DatabaseUnavailable`."""
    with database.read() as session:
        families = list(_families(session, settings))
    return text_of(families)


def text_of(families: Sequence[Metric]) -> bytes:
    """These families, as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(families))
    return generate_latest(registry)


class _Given(Collector):
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _families(session: Session, settings: Settings) -> Iterator[Metric]:
    workers = queries.live_workers(session, heartbeat_s=settings.heartbeat_s)
    served = settings.served_models
    yield _images(census.images(session), served)
    yield _of_models(
        "captioner_oldest_queued_seconds",
        "Age of the oldest job that has a picture in the queue; 0 where none has.",
        census.oldest_queued_s(session),
        served,
        empty=0.0,
    )
    yield _of_models(
        "captioner_seconds_per_image",
        "Measured by the living workers, all together; absent until one has measured it.",
        forecast.paces(workers),
        served,
    )
    yield _jobs(census.jobs(session))
    yield _workers(workers, lost=census.lost_workers(session, heartbeat_s=settings.heartbeat_s))
    yield from _accuracy(census.foreseen(session))
    yield _lookups(tallies.total(session))
    sums = figures.total(session)
    yield from work_metrics.families(style_metrics.of_models(sums), served, other=OTHER)
    yield from style_metrics.counted(sums)
    yield style_metrics.breakers(workers)
    yield from room_metrics.webhooks(session)
    yield from room_metrics.disks(settings)


def _images(found: Iterable[tuple[str, str, int]], served: Sequence[str]) -> Gauge:
    images = Counter({(model, str(state)): 0 for model in served for state in census.AT_WORK})
    for model, state, number in found:
        images[model if model in served else OTHER, state] += number
    family = Gauge(
        "captioner_queue_images", "Pictures that are not final.", labels=["model", "state"]
    )
    for labels, number in images.items():
        family.add_metric(labels, number)
    return family


def _of_models(
    name: str,
    says: str,
    values: Mapping[str, float],
    served: Sequence[str],
    *,
    empty: float | None = None,
) -> Gauge:
    """One value for each model; of the models that are not served, the largest."""
    shown = dict.fromkeys(served, empty) if empty is not None else {}
    for model, value in values.items():
        label = model if model in served else OTHER
        shown[label] = max(value, shown.get(label) or 0.0)
    family = Gauge(name, says, labels=["model"])
    for label, value in shown.items():
        family.add_metric([label], value)
    return family


def _jobs(found: Mapping[JobState, int]) -> Gauge:
    family = Gauge(
        "captioner_jobs",
        "Jobs in each state; in the final states, those of the last hour.",
        labels=["state"],
    )
    for state in JobState:
        family.add_metric([state], found.get(state, 0))
    return family


def _workers(workers: Sequence[Worker], *, lost: int) -> Gauge:
    family = Gauge(
        "captioner_workers",
        "Workers that give signs of life; lost: those that fell silent in the last day.",
        labels=["state"],
    )
    found = Counter(map(_state, workers))
    for state in WORKER_STATES:
        family.add_metric([state], found[state])
    family.add_metric(["lost"], lost)
    return family


def _state(worker: Worker) -> str:
    """The best that can be said of any of its models."""
    if worker.draining:
        return "draining"
    states = [model["state"] for model in worker.models.values()]
    if any(state in SERVING for state in states):
        return "ready"
    return next((state for state in WORKER_STATES if state in states), "loading")


def _accuracy(ended: Sequence[Foreseen]) -> Iterator[Gauge]:
    error = Gauge(
        "captioner_eta_error_seconds",
        "How much later than foretold the jobs of the last hour ended; negative: earlier.",
        labels=["quantile"],
    )
    ratio = Gauge(
        "captioner_eta_ratio",
        "Time that the jobs of the last hour took, by the time that was foretold.",
        labels=["quantile"],
    )
    errors = sorted(job.actual_s - job.expected_s for job in ended)
    ratios = sorted(job.actual_s / job.expected_s for job in ended if job.expected_s > 0)
    for family, values in ((error, errors), (ratio, ratios)):
        for quantile in QUANTILES if values else ():
            family.add_metric([str(quantile)], _quantile(values, quantile))
        yield family
    yield Gauge(
        "captioner_eta_jobs", "Jobs behind the two metrics above, 1000 at most.", value=len(ended)
    )


def _lookups(tally: Tally) -> Counts:
    family = Counts(
        "captioner_cache_lookups",
        "Captions that were looked for among those made before, by what came of it.",
        labels=["outcome"],
    )
    for outcome, number in (("hit", tally.hits), ("miss", tally.misses), ("error", tally.errors)):
        family.add_metric([outcome], number)
    return family


def _quantile(ordered: Sequence[float], quantile: float) -> float:
    """The nearest rank."""
    return ordered[min(int(quantile * len(ordered)), len(ordered) - 1)]
