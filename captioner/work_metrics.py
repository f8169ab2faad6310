"""The metrics of what workers have done: batches, stages, tokens, pictures that ended, webhooks.

The same families for the whole service, from the sums in the database, and for one worker, from its
own: they differ by their prefix, so that nothing is counted twice where both are scraped. Each
bound of a histogram is a series, so there is none before there is something in it.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily as Counts
from prometheus_client.core import HistogramMetricFamily as Histogram
from prometheus_client.core import Metric

from captioner import figures
from captioner.figures import ATTEMPTS, ENDINGS, NO_MODEL, SECONDS, SIZES, STAGES, Key

SERVICE, WORKER = "captioner", "captioner_worker"
"""Prefixes."""
COUNTED = {
    "tokens": ("tokens", "Tokens that were generated."),
    "loads": ("model_loads", "How often a worker loaded a model."),
    "evictions": ("model_evictions", "How often a model made room for another."),
}
BEYOND = float("inf")

Sums = Mapping[str, Mapping[str, float]]
"""Of each model: name to value."""


def families(
    sums: Mapping[Key, float], served: Sequence[str], *, other: str, prefix: str = SERVICE
) -> Iterator[Metric]:
    """The families, of each model that is served, and of all others together."""
    by_model = {model: defaultdict[str, float](float) for model in served}
    of_none: dict[str, float] = {}
    for (name, model), value in sums.items():
        if model == NO_MODEL:
            of_none[name] = value
            continue
        label = model if model in served else other
        by_model.setdefault(label, defaultdict(float))[name] += value
    yield _sizes(by_model, prefix)
    yield _seconds(by_model, prefix)
    yield _times(by_model, prefix)
    for name, (metric, says) in COUNTED.items():
        family = Counts(f"{prefix}_{metric}", says, labels=["model"])
        for model, counted in by_model.items():
            family.add_metric([model], counted[name])
        yield family
    yield _endings(by_model, prefix)
    yield _errors(of_none, prefix)
    yield _webhooks(of_none, prefix)


def _sizes(by_model: Sums, prefix: str) -> Histogram:
    family = Histogram(f"{prefix}_batch_images", "Pictures in a batch.", labels=["model"])
    for model, counted in by_model.items():
        found = [counted.get(figures.batches_up_to(size), 0.0) for size in (*SIZES, SIZES[-1] + 1)]
        if not any(found):
            continue
        bounds = [str(float(size)) for size in SIZES]
        family.add_metric([model], _buckets(bounds, found), sum_value=counted.get("images", 0.0))
    return family


def _seconds(by_model: Sums, prefix: str) -> Counts:
    family = Counts(
        f"{prefix}_stage_seconds",
        "Seconds of pictures in decode and wait, and of batches in encode and generate.",
        labels=["model", "stage"],
    )
    for model, counted in by_model.items():
        for stage in STAGES:
            family.add_metric([model, stage], counted.get(figures.seconds_of(stage), 0.0))
    return family


def _times(by_model: Sums, prefix: str) -> Histogram:
    family = Histogram(
        f"{prefix}_stage_duration_seconds",
        "Times of pictures in decode and wait, and of batches in encode and generate.",
        labels=["model", "stage"],
    )
    bounds = [str(bound) for bound in SECONDS]
    for model, counted in by_model.items():
        for stage in STAGES:
            found = [counted.get(figures.times_up_to(stage, s), 0.0) for s in (*SECONDS, BEYOND)]
            if not any(found):
                continue
            total = counted.get(figures.seconds_of(stage), 0.0)
            family.add_metric([model, stage], _buckets(bounds, found), sum_value=total)
    return family


def _buckets(bounds: Sequence[str], found: Sequence[float]) -> list[tuple[str, float]]:
    """Prometheus' form: how many there are up to each bound, those below included."""
    return list(zip((*bounds, "+Inf"), accumulate(found), strict=True))


def _endings(by_model: Sums, prefix: str) -> Counts:
    family = Counts(
        f"{prefix}_images_finished",
        "Pictures that workers have brought to an end.",
        labels=["model", "outcome"],
    )
    for model, counted in by_model.items():
        for how in ENDINGS:
            family.add_metric([model, how], counted.get(figures.ended(how), 0.0))
    return family


def _errors(sums: Mapping[str, float], prefix: str) -> Counts:
    family = Counts(
        f"{prefix}_image_errors", "Pictures that ended without a caption.", labels=["code"]
    )
    start = figures.error("")
    for name, value in sorted(sums.items()):
        if name.startswith(start):
            family.add_metric([name.removeprefix(start)], value)
    return family


def _webhooks(sums: Mapping[str, float], prefix: str) -> Counts:
    family = Counts(f"{prefix}_webhook_attempts", "Webhooks that were sent.", labels=["outcome"])
    for outcome in ATTEMPTS:
        family.add_metric([outcome], sums.get(figures.webhook(outcome), 0.0))
    return family
