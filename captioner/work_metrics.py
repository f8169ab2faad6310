"""The metrics of what workers have done: batches, stages, tokens, models that came and went."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily as Counts
from prometheus_client.core import HistogramMetricFamily as Histogram
from prometheus_client.core import Metric

from captioner.figures import SIZES, STAGES, Key, batches_up_to, seconds_of

COUNTED = {
    "tokens": ("captioner_tokens", "Tokens that were generated."),
    "loads": ("captioner_model_loads", "How often a worker loaded a model."),
    "evictions": ("captioner_model_evictions", "How often a model made room for another."),
}


def families(sums: Mapping[Key, float], served: Sequence[str], *, other: str) -> Iterator[Metric]:
    """The families, of each model that is served, and of all others together."""
    by_model = {model: defaultdict[str, float](float) for model in served}
    for (name, model), value in sums.items():
        label = model if model in served else other
        by_model.setdefault(label, defaultdict(float))[name] += value
    yield _sizes(by_model)
    yield _seconds(by_model)
    for name, (metric, says) in COUNTED.items():
        family = Counts(metric, says, labels=["model"])
        for model, figures in by_model.items():
            family.add_metric([model], figures[name])
        yield family


def _sizes(by_model: Mapping[str, Mapping[str, float]]) -> Histogram:
    family = Histogram("captioner_batch_images", "Pictures in a batch.", labels=["model"])
    for model, figures in by_model.items():
        below, buckets = 0.0, []
        for size in (*SIZES, SIZES[-1] + 1):
            below += figures.get(batches_up_to(size), 0.0)
            bound = str(float(size)) if size in SIZES else "+Inf"
            buckets.append((bound, below))
        family.add_metric([model], buckets, sum_value=figures.get("images", 0.0))
    return family


def _seconds(by_model: Mapping[str, Mapping[str, float]]) -> Counts:
    family = Counts(
        "captioner_stage_seconds",
        "Seconds of pictures in decode and wait, and of batches in encode and generate.",
        labels=["model", "stage"],
    )
    for model, figures in by_model.items():
        for stage in STAGES:
            family.add_metric([model, stage], figures.get(seconds_of(stage), 0.0))
    return family
