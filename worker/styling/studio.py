"""Images that wait for one styler are taken here, apart from captioning, and stored with its work.

A few threads take one image at a time, those first that are next in line, until none is left. A
styler that is slow holds one of these threads, and no task of the queue and no engine. While it
cannot be asked at all, they take many at once, and leave them plain.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any
from uuid import UUID

from captioner import jobs
from captioner.errors import CaptionerError, StylerGarbled
from captioner.jobs.plain import why_plain
from captioner.stylers import is_configured, unconfigured
from captioner.styles import Styler
from captioner.work import Claim, StyleOutcome
from models import JobState
from worker.flow import Parts
from worker.keeper import safely
from worker.settling import patiently
from worker.styling.breaker import Breaker
from worker.styling.course import Course
from worker.styling.loop import Loop
from worker.styling.protocol import Styler as Asked
from worker.styling.reading import Captions
from worker.styling.whispers import Whispers

log = logging.getLogger(__name__)

AT_ONCE = 100
"""Images that are left plain in one transaction."""


class Studio:
    """Styles images with one styler. Thread-safe; opens nothing before the first image."""

    def __init__(self, parts: Parts, styler: Styler, make: Callable[[], Asked]) -> None:
        self._parts = parts
        self._styler = styler
        self._make = make
        self._loop = Loop(f"styling-{styler}")
        self._most = parts.settings.style_concurrency
        self._threads = ThreadPoolExecutor(self._most, f"style-{styler}")
        self._course: Course | None = None
        self._lock = threading.Lock()  # guards the course's making and the two below
        self._running = 0
        self._again = False
        self.breaker = Breaker()
        self._whispers = Whispers(parts.herald, f"whispers-{styler}")

    def look(self) -> None:
        """Begin where no message said so, or where it was lost."""
        self.begin()

    def begin(self) -> None:
        """Style what waits for it, if a thread is free. Returns at once."""
        if self._parts.draining.is_set():
            return
        with self._lock:
            if self._running >= self._most:
                self._again = True  # a thread that is about to go looks once more
                return
            self._running += 1
        try:
            self._threads.submit(self._run)
        except RuntimeError:  # closed meanwhile
            with self._lock:
                self._running -= 1

    def close(self) -> None:
        """End the threads, each after the image that it has."""
        self._threads.shutdown(cancel_futures=True)
        self._whispers.close()
        if self._course is not None:
            self._loop.submit(self._course.styler.close()).result(timeout=5)
        self._loop.close()

    def _run(self) -> None:
        while True:
            safely(self._style_all, f"styling ({self._styler})")
            with self._lock:
                if not self._again or self._parts.draining.is_set():
                    self._running -= 1
                    return
                self._again = False

    def _style_all(self) -> None:
        while not self._parts.draining.is_set() and self._any():
            trouble = self._trouble()
            claims = self._claim(AT_ONCE if trouble else 1)
            if not claims:
                return
            if trouble is None:
                self.begin()  # perhaps there is more
            with self._parts.held.holding(claims):
                self._settle(
                    [StyleOutcome(claim, warning=trouble) for claim in claims]
                    if trouble
                    else [self._styled(claims[0])]
                )

    def _any(self) -> bool:
        with self._parts.database.read() as session:
            return jobs.any_to_style(session, [self._styler])

    def _trouble(self) -> CaptionerError | None:
        if not is_configured(self._styler, self._parts.settings):
            return unconfigured(self._styler)
        return self.breaker.trouble

    def _claim(self, limit: int) -> list[Claim]:
        with self._parts.database.write() as session:
            return jobs.claim_to_style(
                session,
                stylers=[self._styler],
                limit=limit,
                worker=self._parts.worker,
                lease_s=self._parts.settings.lease_s,
            )

    def _styled(self, claim: Claim) -> StyleOutcome:
        began = time.monotonic()
        halt = self._parts.held.halt_of(claim)
        work = self._loop.submit(self._run_course(claim))
        under_way: list[Future[Any]] = [work, halt]
        wait(under_way, return_when=FIRST_COMPLETED)
        if not work.done():
            work.cancel()
            return StyleOutcome(claim, warning=why_plain(halt.result()))
        try:
            outcome = StyleOutcome(claim, styled=work.result())
        except CaptionerError as error:
            outcome = StyleOutcome(claim, warning=error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the image keeps its caption
            # Not its message, nor its trace: they may hold the caption.
            log.error("Styling raised %s.", type(error).__name__, extra={"action": "style_failed"})
            garbled = StylerGarbled("The styler's answer could not be read.")
            outcome = StyleOutcome(claim, warning=garbled)
        self._parts.meters.styling_took(self._styler, time.monotonic() - began)
        return outcome

    async def _run_course(self, claim: Claim) -> Captions:
        if self._course is None:  # in the loop, where all of it stays
            self._course = Course(
                self._make(),
                self.breaker,
                timeout_s=self._parts.settings.style_timeout_s,
                called=lambda: self._parts.meters.styler_called(self._styler),
            )
        halt = self._parts.held.halt_of(claim)
        self._whispers.say(claim)  # its caption is known before its styles
        return await self._course.run(claim, tell=partial(self._whispers.say, claim), halt=halt)

    def _settle(self, outcomes: list[StyleOutcome]) -> None:
        for outcome in outcomes:
            code = outcome.warning.code if outcome.warning else None
            self._parts.meters.styled(self._styler, code)
        warnings = [outcome.warning for outcome in outcomes if outcome.warning]
        if warnings:
            log.warning(
                "%d pictures keep their plain captions: %s",
                len(warnings),
                warnings[0].detail,
                extra={"action": "style_fallback", "job_id": str(outcomes[0].claim.job_id)},
            )
        self._parts.herald.announce(patiently(lambda: self._store(outcomes)))

    def _store(self, outcomes: list[StyleOutcome]) -> dict[UUID, JobState]:
        with self._parts.database.write() as session:
            return jobs.finish_styling(session, outcomes)
