"""What is to be expected of a job, as it is let in."""

import math
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from captioner import admission, forecast, queries
from captioner.admission import Unfinished
from captioner.database import Database
from captioner.errors import QueueFull
from captioner.settings import Settings
from captioner.together import Together
from captioner.work import Picture
from models import Priority

BUSY = 16
"""Unfinished images that are a line: whoever comes now waits anyway."""
KEPT_S = 0.1
"""How long a look serves requests that come after it, which do not see what others let in since."""


@dataclass(frozen=True)
class Outlook:
    """How fast the workers of a model are, when they would be through, and what they run."""

    pace_s: float | None
    """Seconds per image."""
    expected_s: float | None
    """Seconds until all images of the job would be through."""
    version: str | None
    """Of the model: see `queries.version_served`."""
    unfinished: Unfinished
    """Images that were there before the job."""

    @property
    def busy(self) -> bool:
        """Whether there is a line to wait in."""
        return self.unfinished.overall >= BUSY

    def expected_of(self, pictures: Sequence[Picture]) -> float | None:
        """Seconds until those of the pictures are through that need a worker; `None` for none."""
        if self.expected_s is None or self.pace_s is None:
            return None
        known = sum(picture.known is not None for picture in pictures)
        refused = sum(picture.refusal is not None for picture in pictures)
        all_there = known + refused == len(pictures)
        return None if all_there else self.expected_s - known * self.pace_s


@dataclass(frozen=True)
class Request:
    """What is to be let in."""

    caller: str
    model: str
    images: int
    priority: Priority


class Lookout:
    """Lets jobs in. Thread-safe.

    Looking costs a few statements, and more the longer the line is. Requests that come while
    somebody looks share the next look: it begins after they came, so it is as good as their own.
    What it found serves those who come within `KEPT_S`, too, as long as half of the room is free:
    nobody is refused for what may have changed since, and no limit is passed unseen.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._last: _Look | None = None
        self._together: Together[Request, Outlook | QueueFull] = Together(
            self._look, name="lookout", rest_s=0, impatient=True
        )

    def admit(self, request: Request) -> Outlook:
        """What is to be expected of it. Raises `QueueFull` when there is no room for it."""
        last = self._last
        found = (last and last.serve(request)) or self._together(request)
        if isinstance(found, QueueFull):
            raise found
        return found

    def _look(self, requests: list[Request]) -> list[Outlook | QueueFull]:
        with self._database.read() as session:
            look = _Look(session, self._settings)
            for request in requests:
                look.ask(session, request)
        self._last = look
        return [look.admit(request) for request in requests]


class _Look:
    """What was found in one transaction, and how many images were let in since."""

    def __init__(self, session: Session, settings: Settings) -> None:
        self._settings = settings
        self._workers = queries.serving(session, heartbeat_s=settings.heartbeat_s)
        self._paces = forecast.paces(self._workers)
        self._unfinished: dict[str, Unfinished] = {}
        self._counted_at: dict[str, float] = {}
        self._ahead: dict[Request, int] = {}
        self._let_in: Counter[str] = Counter()
        self._lock = threading.Lock()

    def ask(self, session: Session, request: Request) -> None:
        """Find what it takes to say what is to be expected of this one, and of others like it."""
        if request.caller not in self._unfinished:
            self._unfinished[request.caller] = admission.unfinished(session, request.caller)
            self._counted_at[request.caller] = time.monotonic()
        found = self._unfinished[request.caller]
        pace_s = self._paces.get(request.model)
        if request not in self._ahead and pace_s is not None and found.overall:
            self._ahead[request] = forecast.ahead(
                session,
                model=request.model,
                images=request.images,
                priority=request.priority,
                pace_s=pace_s,
                created=found.at,
            )

    def serve(self, request: Request) -> Outlook | None:
        """As `admit`; `None` where that takes a look of its own."""
        if time.monotonic() - self._counted_at.get(request.caller, -math.inf) > KEPT_S:
            return None
        settings = self._settings
        with self._lock:
            found = self._found(request.caller)
        roomy = (
            2 * (found.overall + request.images) <= settings.max_queued
            and 2 * (found.of_caller + request.images) <= settings.max_queued_per_caller
        )
        measured = request.model in self._paces and self._unfinished[request.caller].overall
        if not roomy or (measured and request not in self._ahead):
            return None
        admitted = self.admit(request)
        return admitted if isinstance(admitted, Outlook) else None

    def admit(self, request: Request) -> Outlook | QueueFull:
        """What is to be expected of it, after those that were let in before it."""
        pace_s = self._paces.get(request.model)
        with self._lock:
            found, let_in = self._found(request.caller), self._let_in.total()
            try:
                admission.check(found, self._settings, images=request.images, pace_s=pace_s)
            except QueueFull as error:
                return error
            self._let_in[request.caller] += request.images
        ahead = self._ahead.get(request, 0) + let_in
        return Outlook(
            pace_s,
            None if pace_s is None else (ahead + request.images) * pace_s,
            queries.version_served(self._workers, request.model),
            found,
        )

    def _found(self, caller: str) -> Unfinished:
        """What was found, those that were let in since, and what the database's clock says now."""
        found = self._unfinished[caller]
        since_s = time.monotonic() - self._counted_at[caller]
        return Unfinished(
            found.overall + self._let_in.total(),
            found.of_caller + self._let_in[caller],
            found.at + timedelta(seconds=since_s),
        )
