"""What an operator watches, counted in the database in a few bounded queries."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from captioner.clock import now, now_plus
from captioner.queries import HEARTBEATS_MISSED
from models import DeliveryState, ImageState, Job, JobImage, JobState, WebhookDelivery, Worker

AT_WORK = (ImageState.QUEUED, ImageState.RUNNING, ImageState.STYLING)
UNFINISHED = tuple(state for state in JobState if not state.final)
FORESEEN = (JobState.SUCCEEDED, JobState.PARTIAL, JobState.FAILED)
"""How a job ends that was left to itself: its end can be held against what was expected."""
RECENT_S = 3600.0
SAMPLE = 1_000
"""Jobs, the last ones, whose end is held against what was expected."""


@dataclass(frozen=True)
class Foreseen:
    """A job that has ended, and how long that was expected to take and took, in seconds."""

    expected_s: float
    actual_s: float


def images(session: Session) -> Iterator[tuple[str, str, int]]:
    """Model, state and number of the images that are not final."""
    rows = session.execute(
        select(JobImage.model, JobImage.state, func.count().label("images"))
        .where(JobImage.state.in_(AT_WORK))
        .group_by(JobImage.model, JobImage.state)
    )
    return ((row.model, row.state, row.images) for row in rows)


def oldest_queued_s(session: Session) -> dict[str, float]:
    """Model to the age of its oldest job that has an image in the queue."""
    waits = select(JobImage.job_id).where(
        JobImage.job_id == Job.id, JobImage.state == ImageState.QUEUED
    )
    rows = session.execute(
        select(Job.model, func.min(Job.created_at).label("created"))
        .where(
            or_(
                Job.state == JobState.QUEUED,
                and_(Job.state == JobState.RUNNING, waits.exists()),
            )
        )
        .group_by(Job.model)
    ).all()
    instant: datetime = session.scalars(select(now())).one()
    return {row.model: (instant - row.created).total_seconds() for row in rows}


def jobs(session: Session) -> dict[JobState, int]:
    """State to the number of jobs in it; of the final states, those reached in the last hour."""
    # Two statements: each has an index of its own, and an OR of both has none.
    unfinished, recent = Job.state.in_(UNFINISHED), Job.finished_at >= now_plus(-RECENT_S)
    return {
        JobState(row.state): row.jobs
        for where in (unfinished, recent)
        for row in session.execute(
            select(Job.state, func.count().label("jobs")).where(where).group_by(Job.state)
        )
    }


def foreseen(session: Session) -> Sequence[Foreseen]:
    """The last jobs of the last hour, whose end was foretold."""
    rows: Sequence[Any] = session.execute(
        select(Job.created_at, Job.expected_at, Job.finished_at)
        .where(
            Job.finished_at >= now_plus(-RECENT_S),
            Job.expected_at.is_not(None),
            Job.state.in_(FORESEEN),
        )
        .order_by(Job.finished_at.desc())
        .limit(SAMPLE)
    ).all()
    return [
        Foreseen(
            expected_s=(row.expected_at - row.created_at).total_seconds(),
            actual_s=(row.finished_at - row.created_at).total_seconds(),
        )
        for row in rows
    ]


def webhooks(session: Session) -> tuple[int, float]:
    """How many deliveries are to be sent, and for how many seconds the first has been due."""
    pending = WebhookDelivery.state == DeliveryState.PENDING
    found = session.execute(
        select(func.count().label("pending"), func.min(WebhookDelivery.next_at).label("due"))
        .select_from(WebhookDelivery)
        .where(pending)
    ).one()
    if found.due is None:
        return 0, 0.0
    instant: datetime = session.scalars(select(now())).one()
    return found.pending, max(0.0, (instant - found.due).total_seconds())


def lost_workers(session: Session, *, heartbeat_s: float) -> int:
    """Workers that fell silent without a farewell, in the last day."""
    return session.scalars(
        select(func.count())
        .select_from(Worker)
        .where(Worker.heartbeat_at < now_plus(-HEARTBEATS_MISSED * heartbeat_s))
    ).one()
