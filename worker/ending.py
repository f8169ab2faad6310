"""A worker that was told to go is gone in time, whatever its engines do.

Threads cannot be stopped, so what still runs near the end of the time is handed back to the queue
and the process ends: another worker does it again.
"""

import logging
import os
import threading
import time
from collections.abc import Callable

from worker.keeper import safely

log = logging.getLogger(__name__)

EXIT_CODE = 75
"""As sysexits.h has it: a failure for now, to be tried again."""
HAND_BACK_SHARE = 0.2
"""Part of the time that is kept for handing back, as the database may be slow."""


def end_within(
    drain_s: float,
    hand_back: Callable[[], object],
    *,
    end: Callable[[int], object] = os._exit,
) -> threading.Thread:
    """End the process within `drain_s`, unless it ends by itself before. Returns at once.

    What cannot be handed back in time is taken over when its lease runs out.
    """

    def wait() -> None:
        time.sleep(drain_s * (1 - HAND_BACK_SHARE))
        log.error(
            "Not done %g s after it was told to end: what is held is handed back.",
            drain_s * (1 - HAND_BACK_SHARE),
            extra={"action": "drain_cut"},
        )
        last = threading.Thread(target=safely, args=(hand_back, "hand-back"), daemon=True)
        last.start()
        last.join(drain_s * HAND_BACK_SHARE)
        end(EXIT_CODE)

    thread = threading.Thread(target=wait, name="drain-bound", daemon=True)
    thread.start()
    return thread
