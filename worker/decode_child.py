"""What runs in a decode child: limits that it sets itself, then one picture after another.

Light on purpose, it is loaded by every child: no torch, transformers, Celery, Flask or SQLAlchemy.
"""

import math
import resource
import signal
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from captioner import images

Work = Callable[[bytes, images.Size, images.ImageLimits, images.Resampling], NDArray[np.uint8]]


@dataclass(frozen=True)
class Task:
    """One picture's bytes, and the shared-memory slot that takes its pixels."""

    data: bytes
    size: images.Size
    resampling: images.Resampling
    limits: images.ImageLimits
    slot: str
    cpu_s: float
    work: Work


def decode_and_fit(
    data: bytes,
    size: images.Size,
    limits: images.ImageLimits,
    resampling: images.Resampling = images.Resampling.BICUBIC,
) -> NDArray[np.uint8]:
    """The picture in a `size` as `images.fit` takes it. Raises `ImageError`."""
    return images.fit(images.decode(data, limits, wanted=size), size, resampling)


def confine(memory_bytes: int) -> None:
    """Limit this process, once, to `memory_bytes` of address space beyond what it has by now.

    Beyond, and not in all: what the interpreter and its libraries reserve grows with the number of
    cores and has nothing to do with pictures.
    """
    # The parent's way to stop us: by default at once, also inside a decoder's C code.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    warnings.simplefilter("ignore")  # about strangers' damaged metadata
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _lower(resource.RLIMIT_AS, _address_space_bytes() + memory_bytes)


def ready() -> None:
    """Answers when the child has loaded all that it needs."""


def run(task: Task) -> tuple[float, images.Size]:
    """Write the picture's pixels into its slot; the milliseconds it took, and its own size."""
    # CPU time is counted over the life of a process, so each picture gets a fresh allowance. The
    # parent watches the clock; this ends a child that spins on after its parent has died.
    used = resource.getrusage(resource.RUSAGE_SELF)
    _lower(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime + task.cpu_s) + 1)
    started = time.perf_counter()
    pixels = task.work(task.data, task.size, task.limits, task.resampling)
    height, width, _ = pixels.shape
    if pixels.shape[2] != 3 or not images.may_be((height, width), task.size):
        raise ValueError(f"pixels of shape {pixels.shape} where {task.size} was asked for")
    np.ndarray(pixels.shape, np.uint8, buffer=_slot(task.slot).buf)[...] = pixels
    return (time.perf_counter() - started) * 1000, (height, width)


@lru_cache(maxsize=1)
def _slot(name: str) -> SharedMemory:
    return SharedMemory(name)


def _lower(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    resource.setrlimit(limit, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _address_space_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()
