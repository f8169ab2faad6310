"""Whether there is room for a request in the queue, overall and in its caller's share.

What is unfinished is counted in the database, so that all API processes see the same. Requests that
are counted at the same moment do not see each other: they can exceed a limit by at most their own
pictures. What has ended costs nothing here, however much of it there is.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, bindparam, case, func, select
from sqlalchemy.orm import Session

from captioner.clock import now
from captioner.errors import QueueFull
from captioner.settings import Settings
from models import Job, JobState

UNFINISHED = tuple(state for state in JobState if not state.final)
RETRY_S = 5.0
"""How long to stay away while nobody knows how fast the queue moves."""
LEAST_RETRY_S, LONGEST_RETRY_S = 1.0, 300.0


@dataclass(frozen=True)
class Unfinished:
    """Images that have no result yet."""

    overall: int
    of_caller: int
    at: datetime
    """When they were counted, by the database's clock."""


def unfinished(session: Session, caller: str) -> Unfinished:
    """How many there are now. One statement, which reads the rows of unfinished jobs only."""
    row = session.execute(_LEFT, {"of_caller": caller}).one()
    return Unfinished(int(row.overall), int(row.own), row.at)


def _counting() -> Select[tuple[int, int, datetime]]:
    left = Job.image_count - Job.succeeded_count - Job.failed_count - Job.canceled_count
    own = case((Job.caller == bindparam("of_caller"), left), else_=0)
    return select(
        func.coalesce(func.sum(left), 0).label("overall"),
        func.coalesce(func.sum(own), 0).label("own"),
        now().label("at"),
    ).where(Job.state.in_(UNFINISHED))


_LEFT = _counting()
"""Made once: to make it costs more than to run it."""


def admit(
    session: Session,
    settings: Settings,
    *,
    caller: str,
    images: int,
    pace_s: float | None,
    queued: bool = False,
) -> None:
    """Raise `QueueFull` when there is no room for so many images of this caller.

    `queued`: these images are in the queue already, in this transaction.
    """
    found = unfinished(session, caller)
    if queued:
        found = Unfinished(found.overall - images, found.of_caller - images, found.at)
    check(found, settings, images=images, pace_s=pace_s)


def check(found: Unfinished, settings: Settings, *, images: int, pace_s: float | None) -> None:
    """Raise `QueueFull` when there is no room for so many more.

    `pace_s`, measured seconds per image, says when there will be.
    """
    if found.of_caller + images > settings.max_queued_per_caller:
        raise _full("You have", found.of_caller, settings.max_queued_per_caller, images, pace_s)
    if found.overall + images > settings.max_queued:
        raise _full("There are", found.overall, settings.max_queued, images, pace_s)


def _full(whose: str, queued: int, limit: int, images: int, pace_s: float | None) -> QueueFull:
    return QueueFull(
        f"{whose} {queued} unfinished pictures; with the {images} of this request it would be more "
        f"than {limit}. Nothing of it was queued.",
        queued=queued,
        limit=limit,
        retry_after_s=_retry_after_s(queued + images - limit, pace_s),
    )


def _retry_after_s(too_many: int, pace_s: float | None) -> int:
    seconds = RETRY_S if pace_s is None else too_many * pace_s
    return round(min(max(seconds, LEAST_RETRY_S), LONGEST_RETRY_S))
