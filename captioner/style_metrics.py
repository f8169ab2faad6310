"""The metrics of stylers: what became of images, how often they were asked, and their breakers."""

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily as Counts
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import Metric

from captioner.figures import Key
from captioner.styles import Styler
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


def is_of_stylers(key: Key) -> bool:
    """Whether a sum is about a styler: its second half is then not a model's name."""
    return key[0].startswith(PREFIX)


def families(sums: Mapping[Key, float], workers: Sequence[Worker]) -> Iterator[Metric]:
    """The families, of every styler."""
    images = Counts(
        "captioner_styled_images",
        "Pictures that a styler is through with, by what came of it.",
        labels=["styler", "outcome"],
    )
    calls = Counts("captioner_styler_calls", "Questions to a styler.", labels=["styler"])
    seconds = Counts(
        "captioner_styler_seconds", "Seconds that pictures were with a styler.", labels=["styler"]
    )
    breakers = Gauge(
        "captioner_styler_breakers_open",
        "Living workers that leave a styler alone after failures.",
        labels=["styler"],
    )
    for styler in Styler:
        for outcome in OUTCOMES:
            number = sums.get((f"{PREFIX}{outcome}", styler), 0.0)
            images.add_metric([styler, outcome], number)
        calls.add_metric([styler], sums.get((STYLER_CALLS, styler), 0.0))
        seconds.add_metric([styler], sums.get((STYLER_SECONDS, styler), 0.0))
        states = [(worker.stylers or {}).get(styler) for worker in workers]
        breakers.add_metric([styler], states.count("open"))
    yield from (images, calls, seconds, breakers)
