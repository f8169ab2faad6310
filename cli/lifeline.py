"""Ends a program when the one that started it dies, even by `kill -9` (Linux: prctl(2)).

On other systems nothing is done: there the children of a killed program have to be ended by hand.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """From now on this process gets SIGTERM when its parent dies. It survives an exec."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def before_exec(parent: int) -> Callable[[], None] | None:
    """The same as a `preexec_fn` for a child of `parent`, which may die while it is started."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)  # loaded before the fork

    def arm() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return arm
