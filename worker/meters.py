"""What this worker has done since it last told: sums, kept until they are stored."""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from captioner.errors import Canceled, DeadlinePassed
from captioner.figures import (
    NO_MODEL,
    Key,
    batches_up_to,
    ended,
    error,
    seconds_of,
    times_up_to,
    webhook,
)
from captioner.style_metrics import STYLER_CALLS, STYLER_SECONDS, outcome_of
from captioner.work import Outcome


class Meters:
    """The sums of `captioner.figures`. Thread-safe."""

    def __init__(self) -> None:
        self._sums: Counter[Key] = Counter()
        self._all: Counter[Key] = Counter()
        self._lock = threading.Lock()

    def ran(self, model: str, *, images: int, tokens: int, seconds: Mapping[str, float]) -> None:
        """The engine of a model ran one batch. `seconds` are of its stages."""
        stages = _timed(seconds)
        self._add(model, {batches_up_to(images): 1, "images": images, "tokens": tokens, **stages})

    def landed(self, model: str, outcomes: Iterable[Outcome]) -> None:
        """These are through, with a caption or without."""
        for outcome in outcomes:
            timings = outcome.timings
            spent = {"decode": timings.decode_ms, "wait": timings.wait_ms}
            self._add(model, _timed({k: ms / 1e3 for k, ms in spent.items() if ms is not None}))

    def finished(self, outcomes: Iterable[Outcome]) -> None:
        """These were stored: they are final."""
        for outcome in outcomes:
            self._add(outcome.claim.model, {ended(_ending(outcome)): 1})
            if outcome.error is not None:
                self._add(NO_MODEL, {error(outcome.error.code): 1})

    def sent(self, outcome: str) -> None:
        """A webhook was sent, and this, of `captioner.figures.ATTEMPTS`, came of it."""
        self._add(NO_MODEL, {webhook(outcome): 1})

    def all(self) -> dict[Key, float]:
        """Everything since this process began, told or not."""
        with self._lock:
            return dict(self._all)

    def came(self, model: str) -> None:
        """It was loaded."""
        self._add(model, {"loads": 1})

    def went(self, model: str) -> None:
        """It made room for another."""
        self._add(model, {"evictions": 1})

    def styled(self, styler: str, why_not: str | None) -> None:
        """A styler is through with an image; without its styles, for this reason."""
        self._add(styler, {outcome_of(why_not): 1})

    def styler_called(self, styler: str) -> None:
        """It was asked something."""
        self._add(styler, {STYLER_CALLS: 1})

    def styling_took(self, styler: str, seconds: float) -> None:
        """An image was with it for so long."""
        self._add(styler, {STYLER_SECONDS: seconds})

    @contextmanager
    def told(self) -> Iterator[Mapping[Key, float]]:
        """What there is to store; it is kept when the block fails."""
        with self._lock:
            sums, self._sums = self._sums, Counter()
        try:
            yield {key: value for key, value in sums.items() if value}
        except BaseException:
            with self._lock:
                for key, value in sums.items():
                    self._sums[key] += value
            raise

    def _add(self, model: str, sums: Mapping[str, float]) -> None:
        with self._lock:
            for name, value in sums.items():
                self._sums[name, model] += value  # type: ignore[assignment] # of floats
                self._all[name, model] += value  # type: ignore[assignment]


def _timed(seconds: Mapping[str, float]) -> dict[str, float]:
    sums = {seconds_of(stage): spent for stage, spent in seconds.items()}
    return sums | {times_up_to(stage, spent): 1 for stage, spent in seconds.items()}


def _ending(outcome: Outcome) -> str:
    if outcome.error is None:
        return "succeeded"
    return "canceled" if isinstance(outcome.error, Canceled | DeadlinePassed) else "failed"
