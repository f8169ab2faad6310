"""The witness: an engine that needs no network, knows each right answer, and writes down each run.

Kind `witness`; the entry's source is the file that gets one line for each image and run, before
anything is done: the picture's mark, the process, the time, the size of the batch.
"""

import ctypes
import hashlib
import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from captioner import catalog
from captioner.catalog import ModelEntry
from captioner.images import Resampling
from captioner.options import PLAIN, Options
from captioner.settings import Settings
from tests.faults import drawn
from tests.faults.drawn import Order
from worker.engines.kinds import KINDS
from worker.engines.protocol import Caption, Pixels, Stopped

MODEL = "witness"
BATCH_S = (0.02, 0.06)
"""How long one batch takes."""
SMALL_BATCH = 4
SLEEP_S = 3.0
HANG_S = 3600.0


class TooLarge(MemoryError):
    """The witness's way to say that its memory does not hold such a batch."""


class WitnessEngine:
    """See `worker.engines.protocol.Engine`."""

    image_size = (drawn.SIDE, drawn.SIDE)
    resampling = Resampling.BICUBIC

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self.revision = f"witness:{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"

    def caption(
        self,
        pictures: Sequence[Pixels],
        options: Options = PLAIN,
        *,
        stopped: Stopped | None = None,
    ) -> list[Caption | None]:
        """The right captions, after a little while, unless a picture orders something else."""
        self._note(pictures)
        orders = [drawn.order_of(picture) for picture in pictures]
        for order in orders:
            _obey(order, len(pictures))
        time.sleep(random.uniform(*BATCH_S))
        pairs = zip(pictures, orders, strict=True)
        texts = ["" if order is Order.EMPTY else drawn.caption(p) for p, order in pairs]
        return [Caption(text, tuple(range(len(text.split())))) for text in texts]

    def _note(self, pictures: Sequence[Pixels]) -> None:
        about = f"{os.getpid()} {time.time():.3f} {len(pictures)}"
        lines = [f"{drawn.mark(picture)} {about}\n" for picture in pictures]
        os.write(self._file, "".join(lines).encode())  # one write: whole lines, whoever else writes


class WitnessMaker:
    """See `worker.engines.kinds.Maker`."""

    device = "cpu witness"

    def make(self, entry: ModelEntry) -> WitnessEngine:
        """An engine that writes to the entry's source."""
        return WitnessEngine(Path(entry.source))


def _obey(order: Order, batch: int) -> None:
    if order is Order.SEGFAULT:
        ctypes.string_at(0)
    elif order is Order.RAISE:
        raise ValueError("a picture ordered this")
    elif order is Order.OUT_OF_MEMORY and batch > SMALL_BATCH:
        raise TooLarge(f"{batch} pictures at once")
    elif order is Order.HANG:
        time.sleep(HANG_S)
    elif order is Order.SLEEP:
        time.sleep(SLEEP_S)


def register(file: Path) -> None:
    """Make the kind and the model known to this process."""
    KINDS["witness"] = _open
    register_entry(file)


def register_entry(file: Path) -> None:
    """Make the model known to a process that runs no engine."""
    catalog.add(ModelEntry(MODEL, str(file), "witness", "MIT", "For tests: knows each answer."))


def _open(_settings: Settings) -> WitnessMaker:
    return WitnessMaker()


def runs(file: Path) -> Counter[str]:
    """How often each picture was run, by its mark."""
    if not file.exists():
        return Counter()
    return Counter(line.split()[0] for line in file.read_text().splitlines() if line.strip())


def times(file: Path) -> list[float]:
    """When images were run, in order."""
    return sorted(float(line.split()[2]) for line in file.read_text().splitlines() if line.strip())
