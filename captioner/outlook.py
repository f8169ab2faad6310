"""What is to be expected of a job, as it is let in."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from captioner import admission, forecast, queries
from captioner.admission import Unfinished
from captioner.database import Database
from captioner.settings import Settings
from captioner.work import Picture
from models import Priority

SHARE = 0.05
"""Part of its time that a process may spend on looking: what it saw stands for the rest."""
LONGEST_S = 0.5
"""How long it may stand, however long the look took."""
NEAR = 0.1
"""Part of a limit of the queue; where more is taken, each request is looked at by itself."""
BUSY = 64
"""Unfinished images that are a line: whoever comes now waits anyway."""
MOST = 256
"""Looks that are remembered."""


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


@dataclass
class _Look:
    """What was counted, and until when it stands; `added` since then."""

    unfinished: Unfinished
    ahead: int
    until: float
    added: int = 0


class Lookout:
    """Lets jobs in. Thread-safe.

    Counting costs a few statements, and more the longer the line is. So where there is one, a count
    stands for the next requests of its kind, which are added to it, for a moment: `SHARE` says how
    long. What workers run is asked each time.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._looks: dict[Request, _Look] = {}
        self._lock = threading.Lock()

    def admit(self, request: Request) -> Outlook:
        """What is to be expected of it. Raises `QueueFull` when there is no room for it."""
        with self._database.read() as session:
            workers = queries.serving(session, heartbeat_s=self._settings.heartbeat_s)
            pace_s = forecast.paces(workers).get(request.model)
            unfinished, ahead = self._counted(session, request, pace_s)
        return Outlook(
            pace_s,
            None if pace_s is None else (ahead + request.images) * pace_s,
            queries.version_served(workers, request.model),
            unfinished,
        )

    def _counted(
        self, session: Session, request: Request, pace_s: float | None
    ) -> tuple[Unfinished, int]:
        began = time.monotonic()
        with self._lock:
            look = self._looks.get(request)
            if look is not None and began < look.until and self._stands(look, request.images):
                added, look.added = look.added, look.added + request.images
                found = look.unfinished
                more = Unfinished(found.overall + added, found.of_caller + added)
                return more, look.ahead + added
        unfinished, ahead = _count(session, self._settings, request, pace_s)
        ended = time.monotonic()
        until = ended + min((ended - began) / SHARE, LONGEST_S)
        with self._lock:
            if len(self._looks) >= MOST:
                self._looks.clear()
            self._looks[request] = _Look(unfinished, ahead, until, added=request.images)
        return unfinished, ahead

    def _stands(self, look: _Look, images: int) -> bool:
        settings, more = self._settings, look.added + images
        return (
            look.unfinished.overall >= BUSY
            and look.unfinished.overall + more <= NEAR * settings.max_queued
            and look.unfinished.of_caller + more <= NEAR * settings.max_queued_per_caller
        )


def _count(
    session: Session, settings: Settings, request: Request, pace_s: float | None
) -> tuple[Unfinished, int]:
    unfinished = admission.admit(
        session, settings, caller=request.caller, images=request.images, pace_s=pace_s
    )
    if pace_s is None:
        return unfinished, 0
    return unfinished, forecast.ahead(
        session,
        model=request.model,
        images=request.images,
        priority=request.priority,
        pace_s=pace_s,
    )
