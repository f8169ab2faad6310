"""Ends a worker whose engine hangs: threads cannot be stopped, processes can."""

import logging
import os
from collections.abc import Callable

log = logging.getLogger(__name__)

EXIT_CODE = 70
"""As sysexits.h has it: an internal software error. A supervisor starts the worker again."""


def watch(
    running_s: Callable[[], float], *, hang_s: float, end: Callable[[int], object] = os._exit
) -> None:
    """End the process when a batch has run for longer than `hang_s`.

    What it held is taken over when its leases run out.
    """
    if running_s() > hang_s:
        log.critical(
            "A batch has run for more than %g s; this worker ends.",
            hang_s,
            extra={"action": "engine_hangs"},
        )
        end(EXIT_CODE)
