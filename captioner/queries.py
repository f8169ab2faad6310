"""Looking at jobs and workers. Nothing here changes a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from captioner.clock import now_plus
from models import Job, JobImage, JobState, Worker

HEARTBEATS_MISSED = 3
"""Signs of life that a worker may miss before it counts as gone."""


@dataclass(frozen=True)
class JobListed:
    """A job in a list, with its captions in order."""

    job: Job
    captions: list[str | None]


@dataclass(frozen=True)
class JobRead:
    """A job with its images in order, as read in one transaction."""

    job: Job
    images: Sequence[JobImage]
    queue_position: int | None = None
    """1 for the next job of its model; `None` once a worker has begun it."""


def job(session: Session, job_id: UUID) -> JobRead | None:
    """The whole job, or `None`."""
    found = session.get(Job, job_id)
    if found is None:
        return None
    images = session.scalars(
        select(JobImage).where(JobImage.job_id == job_id).order_by(JobImage.position)
    ).all()
    return JobRead(found, images, _queue_position(session, found))


def _queue_position(session: Session, job: Job) -> int | None:
    if job.state != JobState.QUEUED:
        return None
    ahead = session.scalar(
        select(func.count()).where(
            Job.state == JobState.QUEUED, Job.id < job.id, Job.model == job.model
        )
    )
    return (ahead or 0) + 1


def is_final(session: Session, job_id: UUID) -> bool:
    """Whether the job will not change any more."""
    state = session.scalar(select(Job.state).where(Job.id == job_id))
    return state is not None and JobState(state).final


def page(
    session: Session,
    *,
    ids: Sequence[UUID] = (),
    states: Sequence[JobState] = (),
    before: UUID | None = None,
    limit: int,
) -> list[JobListed]:
    """Jobs, newest first; those older than `before`, when given. At most `limit`."""
    query = select(Job).order_by(Job.id.desc()).limit(limit)
    if ids:
        query = query.where(Job.id.in_(ids))
    if states:
        query = query.where(Job.state.in_([str(state) for state in states]))
    if before is not None:
        query = query.where(Job.id < before)
    jobs = session.scalars(query).all()
    listed = {found.id: JobListed(found, []) for found in jobs}
    rows = session.execute(
        select(JobImage.job_id, JobImage.caption)
        .where(JobImage.job_id.in_(listed))
        .order_by(JobImage.position)
    )
    for job_id, caption in rows:
        listed[job_id].captions.append(caption)
    return list(listed.values())


def live_workers(session: Session, *, heartbeat_s: float) -> Sequence[Worker]:
    """Workers that gave a sign of life lately, by the database's clock."""
    since = now_plus(-HEARTBEATS_MISSED * heartbeat_s)
    return session.scalars(select(Worker).where(Worker.heartbeat_at >= since)).all()
