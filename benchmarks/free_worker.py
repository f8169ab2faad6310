"""`python -m benchmarks.free_worker [SECONDS [MORE]]`: `captioner worker` whose engine is free.

Or takes so many seconds for each batch, and so many more for each picture in it. All else in the
worker is real, and no network is loaded.
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


class Free:
    """See `worker.engines.protocol.Engine`."""

    image_size = (64, 64)
    resampling = Resampling.BICUBIC
    revision = "free"

    def __init__(self, batch_s: float = 0.0, picture_s: float = 0.0) -> None:
        self._batch_s, self._picture_s = batch_s, picture_s

    def caption(
        self,
        pictures: Sequence[Pixels],
        options: Options = PLAIN,
        *,
        stopped: Stopped | None = None,
    ) -> list[Caption | None]:
        """The colour of each picture's middle."""
        del options, stopped
        time.sleep(self._batch_s + self._picture_s * len(pictures))
        return [Caption(f"colour {'-'.join(map(str, p[32, 32]))}", (1,)) for p in pictures]


class Maker:
    """See `worker.engines.kinds.Maker`."""

    device = "cpu free"

    def __init__(self, _settings: Settings) -> None:
        pass

    def make(self, entry: ModelEntry) -> Free:
        """The engine, for any model."""
        del entry
        return Free(*map(float, sys.argv[1:3]))


def main() -> None:
    """Run it, with the settings of the environment."""
    from cli.worker import worker

    KINDS["blip"] = Maker
    worker(args=[], prog_name="worker")


if __name__ == "__main__":
    main()
