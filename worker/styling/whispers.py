"""Styled captions as they are written, told from a thread of its own.

Redis may hang for seconds. Then whispers are late or lost, and neither calls nor answers wait.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from uuid import UUID

from captioner.wakeups import Herald
from captioner.work import Claim
from worker.keeper import safely
from worker.styling.reading import Captions


class Whispers:
    """Of each image the last counts: what came meanwhile is not told."""

    def __init__(self, herald: Herald, name: str) -> None:
        self._herald = herald
        self._threads = ThreadPoolExecutor(1, name)
        self._lock = threading.Lock()  # guards the two below
        self._latest: dict[tuple[UUID, int], tuple[str, Captions]] = {}
        self._telling = False

    def say(self, claim: Claim, so_far: Captions = ()) -> None:
        """Tell the image's plain caption, and its styles so far. Returns at once."""
        with self._lock:
            self._latest[claim.job_id, claim.position] = (claim.caption or "", so_far)
            if self._telling:
                return
            self._telling = True
        with suppress(RuntimeError):  # closed meanwhile
            self._threads.submit(self._tell)

    def close(self) -> None:
        """Say no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _tell(self) -> None:
        while True:
            with self._lock:
                self._telling = bool(self._latest)
                if not self._latest:
                    return
                of = next(iter(self._latest))  # whoever waits longest
                caption, so_far = self._latest.pop(of)
            whisper = partial(self._herald.whisper, *of, so_far, caption=caption)
            safely(whisper, "telling styles")
