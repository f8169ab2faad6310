"""What runs in a decode child: limits that it sets itself, then one picture after another.

Light on purpose, it is loaded by every child: no torch, transformers, Celery, Flask or SQLAlchemy.
"""

import math
import resource
import signal
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from captioner import images

Work = Callable[[bytes, images.Size, images.ImageLimits, images.Resampling], NDArray[np.uint8]]


@dataclass(frozen=True)
class Task:
    """One picture's bytes, and the place in shared memory that takes its pixels."""

    data: bytes
    size: images.Size
    resampling: images.Resampling
    limits: images.ImageLimits
    slot: str
    cpu_s: float
    work: Work
    offset: int = 0
    """Bytes from the beginning of the slot."""


def decode_and_fit(
    data: bytes,
    size: images.Size,
    limits: images.ImageLimits,
    resampling: images.Resampling = images.Resampling.BICUBIC,
) -> NDArray[np.uint8]:
    """The picture in a `size` as `images.fit` takes it. Raises `ImageError`."""
    return images.fit(images.decode(data, limits, wanted=size), size, resampling)


def for_thumbnail(
    data: bytes,
    size: images.Size,
    limits: images.ImageLimits,
    resampling: images.Resampling = images.Resampling.LANCZOS,
) -> NDArray[np.uint8]:
    """As `decode_and_fit`, and quick: nobody counts the pixels of a thumbnail."""
    return decode_and_fit(data, size, replace(limits, fast_decode=True), resampling)


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
    place = np.ndarray(pixels.shape, np.uint8, buffer=_slot(task.slot).buf, offset=task.offset)
    place[...] = pixels
    return (time.perf_counter() - started) * 1000, (height, width)


def run_each(tasks: Sequence[Task], mark: int) -> list[tuple[float, images.Size] | Exception]:
    """As `run`, one after another; what it raised, in the place of a result.

    The byte at `mark` of the slot says which it is at, so that the parent knows if the child dies.
    """
    return [_tried(task, number, mark) for number, task in enumerate(tasks)]


def _tried(task: Task, number: int, mark: int) -> tuple[float, images.Size] | Exception:
    np.ndarray((1,), np.uint8, buffer=_slot(task.slot).buf, offset=mark)[0] = number
    try:
        return run(task)
    except Exception as error:  # noqa: BLE001 - the parent raises it
        return error


@lru_cache(maxsize=1)
def _slot(name: str) -> SharedMemory:
    return SharedMemory(name)


def _lower(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    resource.setrlimit(limit, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _address_space_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()
