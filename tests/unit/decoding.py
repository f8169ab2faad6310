"""Decode pools to test with, whose children do to themselves what a picture's bytes say.

Children import this module for `obey`: it is to stay free of pytest.
"""

import ctypes
import inspect
import os
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import numpy as np
from PIL import Image

from captioner import errors
from captioner.images import ImageLimits, Resampling
from captioner.settings import Settings
from tests.pictures import encoded
from worker.decode_child import decode_and_fit
from worker.decode_pool import DecodedImage, DecodePool

LIMITS = ImageLimits.from_settings(Settings(_env_file=None))
SIZE = (24, 32)
ROOT = Path(__file__).parents[2]


def picture(seed: int = 0, width: int = 64, height: int = 48) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels))


def spin() -> None:
    while True:
        pass


def burn() -> None:
    while time.process_time() < 1.5:
        pass


def refuse() -> None:
    raise errors.ImageTooSmall("The picture is too small.", side=3)


def asked_together(
    data: bytes, size: tuple[int, int], _limits: ImageLimits, _resampling: Resampling
) -> np.ndarray:
    """White where the child was asked for several pictures, black where for one."""
    if data.startswith(b"pause"):
        time.sleep(0.5)
    together = any(frame.function == "run_each" for frame in inspect.stack(context=0))
    return np.full((*size, 3), 255 * together, np.uint8)


MISCHIEF: dict[bytes, Callable[[], object]] = {
    b"crash": lambda: ctypes.string_at(0),
    b"exit": lambda: os._exit(3),
    b"hang": spin,
    b"hang in C": lambda: ctypes.CDLL(None).sleep(600),
    b"eat": lambda: bytearray(4 * 2**30),
    b"burn": burn,
    b"refuse": refuse,
}


def obey(
    data: bytes, size: tuple[int, int], limits: ImageLimits, resampling: Resampling
) -> np.ndarray:
    """Stands in for the decoder: does what the bytes say, and decodes where they say nothing."""
    if data == b"misshape":
        return np.zeros((1, 1, 3), np.uint8)
    if data == b"pid":
        pixels = np.zeros((*size, 3), np.uint8)
        pixels.reshape(-1)[:4] = list(os.getpid().to_bytes(4, "big"))
        return pixels
    if data in MISCHIEF:
        MISCHIEF[data]()
        return np.zeros((*size, 3), np.uint8)
    return decode_and_fit(data, size, limits, resampling)


def pool(*, processes: int = 2, timeout_s: float = 5, **changes) -> DecodePool:
    rules = {"limits": LIMITS, "memory_bytes": 2**30, "work": obey, **changes}
    return DecodePool(processes=processes, timeout_s=timeout_s, **rules)


def result(future: "Future[DecodedImage]") -> DecodedImage:
    return future.result(30)


def child_pid(running: DecodePool) -> int:
    pixels = result(running.submit(b"pid", size=SIZE)).pixels
    return int.from_bytes(bytes(pixels.reshape(-1)[:4]), "big")


def children() -> set[int]:
    """Processes that this one started, but for the one with which the stdlib tracks resources."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            children = (task / "children").read_text().split()
        except (FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            continue
        for child in children:
            command = Path("/proc", child, "cmdline").read_bytes()
            if b"resource_tracker" not in command:
                found.add(int(child))
    return found


def segments(owner: int) -> set[str]:
    return {path.name for path in Path("/dev/shm").glob(f"captioner_{owner}_*")}
