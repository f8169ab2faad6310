"""`python -m tests.talker`: `captioner worker` whose engines say what a prompt tells them to.

    first text | second text | answer to a question of yes or no

The second is said to whoever asks again, in other words or with other settings. A text `!` is an
engine that raises, one with `zzz` takes three seconds, and `{n}` is the number of pictures that it
was shown at once. Everything else in the worker is real, and no network is loaded.
"""

import sys
import time
from collections.abc import Sequence

from captioner.catalog import ModelEntry
from captioner.images import Resampling
from captioner.options import PLAIN, Options
from captioner.settings import Settings
from worker.engines.kinds import KINDS
from worker.engines.prompts import YES_OR_NO
from worker.engines.protocol import Caption, Pixels, Stopped

SLEEP_S = 3.0
COMMAND = [sys.executable, "-m", "tests.talker"]


class Talker:
    """See `worker.engines.protocol.Engine`."""

    image_size = (8, 8)
    resampling = Resampling.BICUBIC
    revision = "talker"

    def caption(
        self,
        pictures: Sequence[Pixels],
        options: Options = PLAIN,
        *,
        stopped: Stopped | None = None,
    ) -> list[Caption | None]:
        """The text that it was told to say, for each picture."""
        del stopped
        texts = [text.strip() for text in (options.prompt or "a grey wall").split("|")]
        text = texts[0]
        if options.system == YES_OR_NO:
            text = texts[-1]
        elif options.again or options.num_beams or options.no_repeat_ngram:
            text = texts[1]
        if text == "!":
            raise RuntimeError("it was told to")
        if "zzz" in text:
            time.sleep(SLEEP_S)
        tokens = tuple(range(len(text.split())))
        shown = [len(each) if each.ndim == 4 else 1 for each in pictures]
        return [Caption(text.replace("{n}", str(n)), tokens, -0.1) for n in shown]


class Maker:
    """See `worker.engines.kinds.Maker`."""

    device = "cpu talking"

    def make(self, entry: ModelEntry) -> Talker:
        """The same for every model."""
        return Talker()


def _open(_settings: Settings) -> Maker:
    return Maker()


def main() -> None:
    from cli.worker import worker

    for kind in ("blip", "intern_vlm", "gemma"):
        KINDS[kind] = _open
    worker(args=[], prog_name="worker")


if __name__ == "__main__":
    main()
