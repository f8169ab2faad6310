"""What is to be expected of a job, as it is let in."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

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
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._together: Together[Request, Outlook | QueueFull] = Together(
            self._look, name="lookout", rest_s=0, impatient=True
        )

    def admit(self, request: Request) -> Outlook:
        """What is to be expected of it. Raises `QueueFull` when there is no room for it."""
        found = self._together(request)
        if isinstance(found, QueueFull):
            raise found
        return found

    def _look(self, requests: list[Request]) -> list[Outlook | QueueFull]:
        with self._database.read() as session:
            look = _Look(session, self._settings)
            return [look.admit(request) for request in requests]


class _Look:
    """What was found in one transaction, and how many images were let in since."""

    def __init__(self, session: Session, settings: Settings) -> None:
        self._session = session
        self._settings = settings
        self._workers = queries.serving(session, heartbeat_s=settings.heartbeat_s)
        self._paces = forecast.paces(self._workers)
        self._unfinished: dict[str, Unfinished] = {}
        self._ahead: dict[Request, int] = {}
        self._let_in: Counter[str] = Counter()

    def admit(self, request: Request) -> Outlook | QueueFull:
        """What is to be expected of it, after those that were let in before it."""
        pace_s = self._paces.get(request.model)
        found = self._found(request.caller)
        try:
            admission.check(found, self._settings, images=request.images, pace_s=pace_s)
        except QueueFull as error:
            return error
        ahead = (
            self._before(request, pace_s, found.at) if pace_s is not None and found.overall else 0
        )
        self._let_in[request.caller] += request.images
        return Outlook(
            pace_s,
            None if pace_s is None else (ahead + request.images) * pace_s,
            queries.version_served(self._workers, request.model),
            found,
        )

    def _found(self, caller: str) -> Unfinished:
        if caller not in self._unfinished:
            self._unfinished[caller] = admission.unfinished(self._session, caller)
        found = self._unfinished[caller]
        return Unfinished(
            found.overall + self._let_in.total(),
            found.of_caller + self._let_in[caller],
            found.at,
        )

    def _before(self, request: Request, pace_s: float, created: datetime) -> int:
        if request not in self._ahead:
            self._ahead[request] = forecast.ahead(
                self._session,
                model=request.model,
                images=request.images,
                priority=request.priority,
                pace_s=pace_s,
                created=created,
            )
        return self._ahead[request] + self._let_in.total()
