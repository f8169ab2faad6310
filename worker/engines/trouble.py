"""What the failures of libraries mean: too little memory, a broken GPU, or a load that may pass."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from safetensors import SafetensorError

from worker.engines.protocol import DeviceBroken

MACHINE = (
    errno.EACCES,
    errno.EDQUOT,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENOSPC,
    errno.EROFS,
    errno.ESTALE,
)
OF_MEMORY = re.compile(
    r"^.*(can't alloc|(failed|unable) to allocate|bad_alloc|out of memory|_alloc_failed"
    r"|could not (create|execute) a primitive).*$",
    re.IGNORECASE | re.MULTILINE,
)
"""As PyTorch says it on a CPU and on a GPU, OpenVINO, NumPy in transformers' words, C++, CUDA's
libraries, and oneDNN, which has the same words for other failures: a single picture still fails
with them. There is no type for all of them.
"""
OF_DEVICE = re.compile(r"^(CUDA|CUDA driver|HIP|cuDNN) error: ", re.IGNORECASE)
"""As PyTorch begins what the driver says. Most of these end with the process alone: the CUDA
runtime's documentation has "the process must be terminated and relaunched" of them.
"""
HARMLESS = re.compile(r"no kernel image|invalid device ordinal|not supported", re.IGNORECASE)
"""A GPU that cannot do it is not broken, and another process does no better."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise what a library's error means: `MemoryError`, or `DeviceBroken`."""
    try:
        yield
    except (RuntimeError, ValueError) as error:  # PyTorch's own are RuntimeErrors
        said = str(error)
        if lacks := OF_MEMORY.search(said):
            raise MemoryError(lacks[0].strip()[:200]) from error
        if OF_DEVICE.search(said) and not HARMLESS.search(said):
            raise DeviceBroken(
                f"The GPU is of no use to this process: {_first_line(said)}"
            ) from error
        raise


def may_pass(error: BaseException) -> bool:
    """Whether a load that raised this may succeed later, with the same settings.

    Memory and disk come free, and damaged files are replaced; a model of a wrong kind stays one.
    """
    if isinstance(error, OSError):
        return error.errno in MACHINE
    return isinstance(error, MemoryError | SafetensorError)


def _first_line(said: str) -> str:
    return said.strip().splitlines()[0][:200]
