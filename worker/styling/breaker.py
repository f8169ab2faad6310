"""Whether a styler is worth a call: a circuit breaker (Nygard, "Release It!", 2007).

    closed ──too many failures in a row, or a refusal of this server──> open
    open ──after a while──> trying: one image alone asks
    trying ──it was answered──> closed;   ──it was not──> open, for twice as long

One that will not write about a picture did answer: the others may ask it. However often it says so,
that is no failure of its own.

It begins as trying, too: until a first image got an answer the others wait for it, so that a wrong
key, or a server that hangs, is found out with a few calls. Used in one asyncio loop alone; `state`
and `trouble` may be asked from anywhere.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from captioner.errors import (
    CaptionerError,
    StylerBlocked,
    StylerRefused,
    StylerUnavailable,
    WorkError,
)

log = logging.getLogger(__name__)

OPEN_S = 30.0
"""How long it is open at first, and at least."""
LONGEST_S = 300.0
MOST = 20
"""Strikes in a row that open it."""
AWAY = 4
"""Strikes of a call that was not answered; of an answer that was of no use, 1."""


class Breaker:
    """The breaker of one styler. It lets images in, and is told what came of each."""

    def __init__(
        self,
        *,
        open_s: float = OPEN_S,
        longest_s: float = LONGEST_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_s, self._longest_s, self._clock = open_s, longest_s, clock
        self._pause_s = open_s
        self._until: float | None = None
        self._why: CaptionerError | None = None
        self._proven = False
        self._strikes = 0
        self._trial: asyncio.Event | None = None

    @property
    def state(self) -> str:
        """`closed`, `open` or `trying`."""
        if self._until is not None:
            return "trying" if self._trial else "open"
        return "closed" if self._proven else "trying"

    @property
    def trouble(self) -> CaptionerError | None:
        """Why an image would not be let in now."""
        if self._until is None or self._why is None:
            return None
        may_try = self._clock() >= self._until and self._trial is None
        return None if may_try else type(self._why)(self._why.detail)

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[Callable[[], None]]:
        """Let one image in, perhaps after the one that tries. Raises `trouble`.

        The block does all calls of the image, raises what its last one came to, and asks what it
        is given before each further call: that raises when the breaker opened meanwhile.
        """
        trial = await self._begin()
        try:
            yield lambda: self._check(trial)
        except WorkError as error:
            self._end(trial)
            self._failed(error, tried=trial is not None)
            raise
        except BaseException:
            self._end(trial)
            raise
        self._end(trial)
        self._strikes = 0
        if trial is not None or self._until is None:  # else it is of before the breaker opened
            self._close()

    def missed(self) -> None:
        """A call was not answered, and may be made again."""
        self._strikes += AWAY
        if self._proven and self._strikes >= MOST and self._until is None:
            self._open(StylerUnavailable("The styler does not answer. It is left alone a while."))

    async def _begin(self) -> asyncio.Event | None:
        while True:
            trouble = self.trouble
            if trouble is not None:
                raise trouble
            if self._proven and self._until is None:
                return None
            if self._trial is None:
                self._trial = asyncio.Event()
                return self._trial
            await self._trial.wait()

    def _end(self, trial: asyncio.Event | None) -> None:
        if trial is not None:
            trial.set()
            self._trial = None

    def _check(self, trial: asyncio.Event | None) -> None:
        if trial is None and self.trouble is not None:
            raise self.trouble

    def _failed(self, error: CaptionerError, *, tried: bool) -> None:
        if _is_of_all(error) or (tried and isinstance(error, StylerUnavailable)):
            self._open(error, longer=tried)
        elif _is_of_one(error) and tried:
            self._close()
        elif tried and self._until is not None:
            self._open(error, longer=True)
        elif self._until is None:
            self._proven = True
        if not isinstance(error, StylerBlocked | StylerUnavailable):
            self._strike(error)  # calls that were not answered were counted as they were made

    def _strike(self, error: CaptionerError) -> None:
        if self._until is None:
            self._strikes += 1
            if self._strikes >= MOST:
                self._open(error)

    def _close(self) -> None:
        self._proven, self._until, self._why = True, None, None
        self._pause_s = self._open_s

    def _open(self, error: CaptionerError, *, longer: bool = False) -> None:
        if longer and self._until is not None:
            self._pause_s = min(2 * self._pause_s, self._longest_s)
        told_s = float(error.extra.get("retry_after_s", 0))
        pause_s = min(max(self._pause_s, told_s), self._longest_s)
        self._until = self._clock() + pause_s
        self._why, self._strikes = _for_others(error), 0
        log.warning(
            "A styler is left alone for %.0f s: %s",
            pause_s,
            error.detail,
            extra={"action": "styler_left_alone"},
        )


def _is_of_all(error: CaptionerError) -> bool:
    """Whether whoever asks next would be told the same."""
    ours = isinstance(error, StylerRefused) and error.extra.get("ours", False)
    return bool(ours or error.extra.get("retry_after_s", 0) > 0)


def _is_of_one(error: CaptionerError) -> bool:
    """Whether it says more of this picture than of the styler, which did answer."""
    return isinstance(error, StylerBlocked | StylerRefused) and not _is_of_all(error)


def _for_others(error: CaptionerError) -> CaptionerError:
    """What pictures are told that were never asked about."""
    if isinstance(error, StylerUnavailable) or _is_of_all(error):
        return error
    return StylerUnavailable("The styler gives no useful answers. It is left alone a while.")
