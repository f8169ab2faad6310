"""Child processes that start clean: spawned, and without the program that started them.

`spawn` runs the parent's main script in every child, so that objects defined there can be
unpickled. For us that would load Celery or torch into children that only decode pictures, and run
an unguarded script twice. Children made here skip it; what they run must live in a module.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from threading import Lock
from typing import Any

_STARTING = Lock()


class _CleanProcess(SpawnProcess):
    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802 - the name is multiprocessing's
        with _STARTING, _main_hidden():
            return SpawnProcess._Popen(process_obj)


class CleanSpawnContext(SpawnContext):
    """The multiprocessing context of such children. They are never forked: CUDA breaks in forks."""

    Process = _CleanProcess


@contextmanager
def _main_hidden() -> Iterator[None]:
    # multiprocessing leaves a main module alone whose name ends in .__main__ (that is how
    # `python -m` names it), and it learns the name from this attribute only.
    main = sys.modules["__main__"]
    spec = main.__spec__
    main.__spec__ = ModuleSpec("hidden.__main__", None)
    try:
        yield
    finally:
        main.__spec__ = spec
