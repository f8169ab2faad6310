"""Looking at jobs and workers. Nothing here changes a row.

What is read by more than one statement is of one moment in a `snapshot` of the database only.

Where an `owner` is given, the jobs of others are as if they were not there; `None` sees them all.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import ColumnElement, Float, Select, Subquery, bindparam, select, union_all
from sqlalchemy.orm import Session

from captioner.clock import now_plus, written
from captioner.errors import JobDeleted, JobNotFound
from models import SERVING, DeletedJob, ImageState, Job, JobImage, JobState, Worker

HEARTBEATS_MISSED = 3
"""Signs of life that a worker may miss before it counts as gone."""


@dataclass(frozen=True)
class JobListed:
    """A job in a list, with its captions in order."""

    job: Job
    captions: list[str | None]


@dataclass(frozen=True)
class JobRead:
    """A job with its images in order."""

    job: Job
    images: Sequence[JobImage]


@dataclass(frozen=True)
class Progress:
    """How far a job is. Whatever happens to it makes `seq` larger."""

    seq: int
    state: JobState | None
    """`None`: there is no such job (any more)."""

    @property
    def final(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.state is None or self.state.final


GONE = Progress(seq=2**62, state=None)
"""Of a job that is not there."""


def job(session: Session, job_id: UUID, *, owner: str | None = None) -> JobRead | None:
    """The whole job, or `None`."""
    wanted = select(Job).where(Job.id == job_id)
    found = session.scalar(wanted if owner is None else wanted.where(Job.owner == owner))
    if found is None:
        return None
    images = session.scalars(_IMAGES, {"of_job": job_id}).all()
    return JobRead(found, images)


def refuse_others(session: Session, job_id: UUID, *, owner: str | None) -> None:
    """Raise what `absent` says, unless the job is this owner's. Without an owner, asks nothing."""
    if owner is None:
        return
    mine = select(Job.id).where(Job.id == job_id, Job.owner == owner)
    if session.scalar(mine) is None:
        raise absent(session, job_id, owner=owner)


def absent(session: Session, job_id: UUID, *, owner: str | None = None) -> JobNotFound | JobDeleted:
    """Why there is no such job: it was deleted, as long as that is remembered, or never was."""
    wanted = select(DeletedJob).where(DeletedJob.id == job_id)
    gone = session.scalar(wanted if owner is None else wanted.where(DeletedJob.owner == owner))
    if gone is None:
        return JobNotFound(f"There is no job with the id '{job_id}'.")
    return JobDeleted(
        f"The job was deleted at {gone.deleted_at:%Y-%m-%d %H:%M:%S} UTC ({gone.reason}).",
        deleted_at=written(gone.deleted_at),
        reason=gone.reason,
    )


def progress(session: Session, ids: Collection[UUID]) -> dict[UUID, Progress]:
    """How far these jobs are, by id; without those that do not exist. One query."""
    rows = session.execute(_PROGRESS, {"ids": list(ids)})
    return {row.id: Progress(row.event_seq, JobState(row.state)) for row in rows}


def page(
    session: Session,
    *,
    ids: Sequence[UUID] = (),
    states: Sequence[JobState] = (),
    before: UUID | None = None,
    owner: str | None = None,
    limit: int,
) -> list[JobListed]:
    """Jobs, newest first; those older than `before`, when given. At most `limit`."""
    wanted: list[ColumnElement[bool]] = []
    if owner is not None:
        wanted.append(Job.owner == owner)
    if ids:
        wanted.append(Job.id.in_(ids))
    if before is not None:
        wanted.append(Job.id < before)
    newest = select(Job.id).where(*wanted).order_by(Job.id.desc()).limit(limit)
    page = _newest_in(newest, states, limit=limit)
    jobs = session.scalars(
        select(Job).join(page, Job.id == page.c.id).order_by(page.c.id.desc())
    ).all()
    listed = {found.id: JobListed(found, []) for found in jobs}
    rows = session.execute(
        select(JobImage.job_id, JobImage.caption)
        .where(JobImage.job_id.in_(listed))
        .order_by(JobImage.position)
    )
    for job_id, caption in rows:
        listed[job_id].captions.append(caption)
    return list(listed.values())


def _newest_in(newest: Select[UUID], states: Iterable[JobState], *, limit: int) -> Subquery:
    """The ids of the newest jobs that are in one of these states, from the ends of indices.

    Of ids alone an index has all that is asked. Asked for whole rows, a database may rather walk
    back through all jobs, of whoever they are; asked for several states at once, it may read all
    the jobs that are in them.
    """
    each = [newest.where(Job.state == state.value) for state in dict.fromkeys(states)] or [newest]
    if len(each) == 1:
        return each[0].subquery()
    found = union_all(*(select(one.subquery()) for one in each)).subquery()
    return select(found).order_by(found.c.id.desc()).limit(limit).subquery()


def any_queued(session: Session, *, model: str) -> bool:
    """Whether an image of the model is in line."""
    wanted = select(JobImage.rank).where(
        JobImage.state == ImageState.QUEUED, JobImage.model == model
    )
    return session.scalar(wanted.limit(1)) is not None


class Serving(Protocol):
    """What a worker says of its models: of a `Worker`, or a row with these columns."""

    models: dict[str, Any]
    draining: bool
    pace: dict[str, float]


def version_served(workers: Iterable[Serving], model: str) -> str | None:
    """The version of the model that these workers serve, all the same one; `None` otherwise.

    Those that are draining take nothing new, and count for nothing.
    """
    states = [worker.models.get(model, {}) for worker in workers if not worker.draining]
    found = {state.get("version") for state in states if state.get("state") in SERVING}
    return found.pop() if len(found) == 1 else None


def live_workers(session: Session, *, heartbeat_s: float) -> Sequence[Worker]:
    """Workers that gave a sign of life lately, by the database's clock."""
    since = now_plus(-HEARTBEATS_MISSED * heartbeat_s)
    return session.scalars(
        select(Worker).where(Worker.heartbeat_at >= since).order_by(Worker.name)
    ).all()


def serving(session: Session, *, heartbeat_s: float) -> Sequence[Serving]:
    """As `live_workers`, with what they say of their models alone: for every request."""
    rows: Any = session.execute(_SERVING, {"since": -HEARTBEATS_MISSED * heartbeat_s}).all()
    return list(rows)


# Made once: to make a statement costs more than to run it, and these run for every request.
_IMAGES = select(JobImage).where(JobImage.job_id == bindparam("of_job")).order_by(JobImage.position)
_PROGRESS = select(Job.id, Job.event_seq, Job.state).where(
    Job.id.in_(bindparam("ids", expanding=True))
)
_SERVING = select(Worker.models, Worker.draining, Worker.pace).where(
    Worker.heartbeat_at >= now_plus(bindparam("since", type_=Float))
)
