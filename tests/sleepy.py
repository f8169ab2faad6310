"""`python -m tests.sleepy SECONDS [deaf]`: `captioner worker` whose engine sleeps over each batch.

It asks every 20 ms which pictures are stopped; a deaf one does not, and so stands for an engine
that hangs. Everything else in the worker is real, and no network is loaded.
"""

import sys
import time
from collections.abc import Sequence

from captioner.catalog import ModelEntry
from captioner.images import Resampling
from captioner.options import PLAIN, Options
from captioner.settings import Settings
from worker.engines.kinds import KINDS
from worker.engines.protocol import Caption, Pixels, Stopped

STEP_S = 0.02


class Sleepy:
    """See `worker.engines.protocol.Engine`."""

    image_size = (8, 8)
    resampling = Resampling.BICUBIC
    revision = "sleepy"

    def __init__(self, seconds: float, *, deaf: bool) -> None:
        self._seconds = seconds
        self._deaf = deaf

    def caption(
        self,
        pictures: Sequence[Pixels],
        options: Options = PLAIN,
        *,
        stopped: Stopped | None = None,
    ) -> list[Caption | None]:
        """Sleep, then say the colour of each picture's first pixel."""
        cut = [False] * len(pictures)
        until = time.monotonic() + self._seconds
        while time.monotonic() < until and not all(cut):
            time.sleep(STEP_S)
            if stopped and not self._deaf:
                cut = [was or now for was, now in zip(cut, stopped(), strict=True)]
        texts = ["colour " + "-".join(map(str, picture[0, 0])) for picture in pictures]
        return [None if c else Caption(t, (1,)) for c, t in zip(cut, texts, strict=True)]


class Maker:
    """See `worker.engines.kinds.Maker`."""

    device = "cpu asleep"

    def make(self, entry: ModelEntry) -> Sleepy:
        """The engine that the command line asks for."""
        return Sleepy(float(sys.argv[1]), deaf="deaf" in sys.argv)


def _open(_settings: Settings) -> Maker:
    return Maker()


def main() -> None:
    from cli.worker import worker

    KINDS["blip"] = _open
    worker(args=[], prog_name="worker")


if __name__ == "__main__":
    main()
