"""The metrics of stylers: what became of images, how often they were asked, and their breakers."""

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily as Counts
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import Metric

from captioner.figures import Key
from captioner.styles import Styler
from captioner.work_metrics import SERVICE
from models import Worker

PREFIX = "style_"
STYLER_CALLS = f"{PREFIX}calls"
STYLER_SECONDS = f"{PREFIX}seconds"
OUTCOMES = (
    "styled",
    "unavailable",
    "refused",
    "blocked",
    "garbled",
    "unconfigured",
    "stopped",
)
"""`stopped`: the job was canceled, or its deadline passed."""


def outcome_of(why_not: str | None) -> str:
    """The name of the number of images that had this code, or no trouble at all."""
    outcome = "styled" if why_not is None else why_not.removeprefix("styler_")
    return f"{PREFIX}{outcome if outcome in OUTCOMES else 'stopped'}"


def of_models(sums: Mapping[Key, float]) -> dict[Key, float]:
    """The sums that are not about a styler: of those the second half is no model's name."""
    return {key: value for key, value in sums.items() if not key[0].startswith(PREFIX)}


def counted(sums: Mapping[Key, float], *, prefix: str = SERVICE) -> Iterator[Metric]:
    """What there is to count of every styler."""
    images = Counts(
        f"{prefix}_styled_images",
        "Pictures that a styler is through with, by what came of it.",
        labels=["styler", "outcome"],
    )
    calls = Counts(f"{prefix}_styler_calls", "Questions to a styler.", labels=["styler"])
    seconds = Counts(
        f"{prefix}_styler_seconds", "Seconds that pictures were with a styler.", labels=["styler"]
    )
    for styler in Styler:
        for outcome in OUTCOMES:
            number = sums.get((f"{PREFIX}{outcome}", styler), 0.0)
            images.add_metric([styler, outcome], number)
        calls.add_metric([styler], sums.get((STYLER_CALLS, styler), 0.0))
        seconds.add_metric([styler], sums.get((STYLER_SECONDS, styler), 0.0))
    yield from (images, calls, seconds)


def breakers(workers: Sequence[Worker]) -> Metric:
    """How many of these workers leave each styler alone."""
    family = Gauge(
        "captioner_styler_breakers_open",
        "Living workers that leave a styler alone after failures.",
        labels=["styler"],
    )
    for styler in Styler:
        states = [(worker.stylers or {}).get(styler) for worker in workers]
        family.add_metric([styler], states.count("open"))
    return family
