"""What this worker has done since it last told: sums, kept until they are stored."""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from captioner.figures import Key, batches_up_to, seconds_of
from captioner.work import Outcome


class Meters:
    """The sums of `captioner.figures`. Thread-safe."""

    def __init__(self) -> None:
        self._sums: Counter[Key] = Counter()
        self._lock = threading.Lock()

    def ran(self, model: str, *, images: int, tokens: int, seconds: Mapping[str, float]) -> None:
        """The engine of a model ran one batch. `seconds` are of its stages."""
        stages = {seconds_of(stage): spent for stage, spent in seconds.items()}
        self._add(model, {batches_up_to(images): 1, "images": images, "tokens": tokens, **stages})

    def landed(self, model: str, outcomes: Iterable[Outcome]) -> None:
        """These are through, with a caption or without."""
        for outcome in outcomes:
            timings = outcome.timings
            spent = {"decode": timings.decode_ms or 0.0, "wait": timings.wait_ms or 0.0}
            self._add(model, {seconds_of(stage): ms / 1e3 for stage, ms in spent.items()})

    def came(self, model: str) -> None:
        """It was loaded."""
        self._add(model, {"loads": 1})

    def went(self, model: str) -> None:
        """It made room for another."""
        self._add(model, {"evictions": 1})

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
