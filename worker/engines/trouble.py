"""Which failures to load a model may pass: those of the machine, and those of damaged files."""

import errno

import torch
from safetensors import SafetensorError

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


def may_pass(error: BaseException) -> bool:
    """Whether a load that raised this may succeed later, with the same settings.

    Memory and disk come free, and damaged files are replaced; a model of a wrong kind stays one.
    """
    if isinstance(error, OSError):
        return error.errno in MACHINE
    return isinstance(error, MemoryError | torch.OutOfMemoryError | SafetensorError)
