"""One image's way to its styles: a call, again after trouble that may pass, and once more where the
answer was of no use; all of it within a bound of time.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace

from captioner.errors import (
    CaptionerError,
    StylerBlocked,
    StylerGarbled,
    StylerUnavailable,
)
from captioner.styles import Styling
from captioner.work import Claim
from worker.styling.breaker import Breaker
from worker.styling.brief import brief_for, once_more
from worker.styling.protocol import Call, Styler
from worker.styling.reading import Captions, Reading

RETRIES = 2
"""Calls after the first that was not answered."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 4.0
"""Before a retry, where the styler does not say; drawn from half of it to all, then twice."""
SILENT = 0.5
"""Share of an image's time after which a call that says nothing is given up, and made again."""
EVERY_S = 0.15
"""Between two looks at an answer that is still coming."""
NOBODY: "Future[CaptionerError]" = Future()

Tell = Callable[[Captions], None]


@dataclass
class Course:
    """How images are styled by one styler. `called` is told of each question that is asked."""

    styler: Styler
    breaker: Breaker
    timeout_s: float
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    called: Callable[[], None] = lambda: None
    draw: Callable[[float, float], float] = random.uniform

    async def run(
        self, claim: Claim, *, tell: Tell, halt: "Future[CaptionerError]" = NOBODY
    ) -> Captions:
        """Every caption that the claim's job wishes for.

        `tell` gets what has come so far, as it comes. Raises the `CaptionerError` that says why
        there are none.
        """
        async with self.breaker.admitted() as check:
            try:
                async with asyncio.timeout(self.timeout_s):
                    return await self._written(claim, tell, halt, check)
            except TimeoutError:
                self.breaker.missed()
                raise StylerUnavailable(
                    f"The styler was not done within {self.timeout_s:g} seconds."
                ) from None

    async def _written(
        self,
        claim: Claim,
        tell: Tell,
        halt: "Future[CaptionerError]",
        check: Callable[[], None],
    ) -> Captions:
        caption, styling = claim.caption or "", claim.styling or Styling()
        until = time.monotonic() + self.timeout_s
        reading = Reading(styling)
        said = _now_and_then(lambda text: tell(reading.so_far(text)))
        call = Call(brief_for(caption, styling), said, halt, rank=claim.rank)
        try:
            return reading.take(await self._answer(call, check, until))
        except (StylerGarbled, StylerBlocked) as error:
            check()
            again = replace(call, brief=once_more(caption, styling, error))
            return reading.take(await self._answer(again, check, until))

    async def _answer(self, call: Call, check: Callable[[], None], until: float) -> str:
        for tries in range(RETRIES + 1):
            try:
                return await self._asked(call)
            except StylerUnavailable as error:
                self.breaker.missed()
                told_s = float(error.extra.get("retry_after_s", 0))
                pause_s = told_s or self._pause_s(tries)
                if tries == RETRIES or time.monotonic() + pause_s >= until:
                    raise
            await self.sleep(pause_s)
            check()
        raise StylerUnavailable("The styler does not answer.")

    async def _asked(self, call: Call) -> str:
        """One call, as long as it is not silent for too long."""
        clock = asyncio.get_running_loop().time
        most_s = self.timeout_s * (SILENT if self.styler.speaks else 1)
        self.called()
        try:
            async with asyncio.timeout(most_s) as silence:

                def said(text: str) -> None:
                    if not silence.expired():
                        silence.reschedule(clock() + most_s)
                    call.said(text)

                return await self.styler.write(replace(call, said=said))
        except TimeoutError:
            raise StylerUnavailable(f"The styler said nothing for {most_s:g} seconds.") from None

    def _pause_s(self, tries: int) -> float:
        most = min(FIRST_PAUSE_S * 2**tries, LONGEST_PAUSE_S)
        return self.draw(most / 2, most)


def _now_and_then(said: Callable[[str], None]) -> Callable[[str], None]:
    """The same, but not more often than somebody can see."""
    last = 0.0

    def sometimes(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= EVERY_S:
            last = time.monotonic()
            said(text)

    return sometimes
