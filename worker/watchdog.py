"""Ends a worker whose engine hangs or whose GPU is broken: no thread can be stopped, and no process
rid of what CUDA holds against it. What it held is taken over when its leases run out.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from worker.engines.protocol import DeviceBroken

log = logging.getLogger(__name__)

EXIT_CODE = 70
"""As sysexits.h has it: an internal software error. A supervisor starts the worker again."""


def watch(
    running_s: Callable[[], float], *, hang_s: float, end: Callable[[int], object] = os._exit
) -> None:
    """End the process when a batch has run for longer than `hang_s`."""
    if running_s() > hang_s:
        log.critical(
            "A batch has run for more than %g s; this worker ends.",
            hang_s,
            extra={"action": "engine_hangs"},
        )
        end(EXIT_CODE)


@contextmanager
def ending_when_broken(end: Callable[[int], object] = os._exit) -> Iterator[None]:
    """End the process when the block finds the device broken.

    Else every picture in the queue would fail here, one after the other.
    """
    try:
        yield
    except DeviceBroken as error:
        log.critical("%s; this worker ends.", error.detail, extra={"action": "device_broken"})
        end(EXIT_CODE)
        raise
