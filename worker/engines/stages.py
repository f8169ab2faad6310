"""How long an engine spends on each stage of a batch: told by the engine, asked for by its caller.

An engine that tells nothing is all `generate`. On a GPU a stage ends when its work is queued.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_here = threading.local()


@contextmanager
def measured() -> Iterator[dict[str, float]]:
    """Seconds of each stage that this thread goes through in the block; what is left of the time
    is `generate`. Complete once the block has ended.
    """
    seconds = _here.seconds = {}
    started = time.perf_counter()
    try:
        yield seconds
    finally:
        whole = time.perf_counter() - started
        seconds["generate"] = whole - sum(seconds.values())
        del _here.seconds


@contextmanager
def stage(name: str) -> Iterator[None]:
    """The block is one stage of a batch."""
    started = time.perf_counter()
    try:
        yield
    finally:
        seconds: dict[str, float] | None = getattr(_here, "seconds", None)
        if seconds is not None:
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started
