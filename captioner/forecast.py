"""How long the line is, how fast it moves, and when a job will be through.

A forecast is images ahead, and the job's own, times measured seconds per image. What comes later
with a better rank, and what of it fails, is not foreseen; how far off it was is a metric.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, ScalarSelect, and_, func, or_, select
from sqlalchemy.orm import Session

from captioner import jobs, queries
from captioner.clock import now
from captioner.queries import JobRead, Serving
from models import SERVING, ImageState, Job, JobImage, JobState, Priority


@dataclass(frozen=True)
class Forecast:
    """Where a job stands in line, and how long it will take."""

    queue_position: int | None
    """1 for the next job of its model; `None` once a worker has begun it."""
    images_ahead: int
    """Other jobs' images that are held, or that go before the last one of this job."""
    eta_s: float | None
    """Seconds until its last image is through; `None` before any worker has measured its pace."""


def paces(workers: Iterable[Serving]) -> dict[str, float]:
    """Seconds per image of each model that has been measured, over all these workers together.

    Their rates add up. Those that are draining, or do not serve the model, count for nothing.
    """
    rates: defaultdict[str, float] = defaultdict(float)
    for worker in workers:
        for model, pace_s in worker.pace.items():
            serving = worker.models.get(model, {}).get("state") in SERVING
            if serving and pace_s > 0 and not worker.draining:
                rates[model] += 1 / pace_s
    return {model: 1 / rate for model, rate in rates.items()}


def pace_s(session: Session, model: str, *, heartbeat_s: float) -> float | None:
    """Seconds per image of the model now, or `None` where no living worker has measured it."""
    return paces(queries.live_workers(session, heartbeat_s=heartbeat_s)).get(model)


def ahead(session: Session, *, model: str, images: int, priority: Priority, pace_s: float) -> int:
    """Images that would go before the last one of a job of so many, if it were created now."""
    last = jobs.rank(
        images - 1,
        created=session.scalars(select(now())).one(),
        priority=priority,
        pace_s=pace_s,
    )
    return _ahead(session, model, last, None)


def of_job(session: Session, read: JobRead, *, pace_s: float | None) -> Forecast | None:
    """The forecast of a job; `None` for one that is final or stops."""
    job = read.job
    if job.state not in (JobState.QUEUED, JobState.RUNNING):
        return None
    waiting = [image.rank for image in read.images if image.state == ImageState.QUEUED]
    held = sum(image.state == ImageState.RUNNING for image in read.images)
    ahead = _ahead(session, job.model, max(waiting), job.id) if waiting else 0
    return Forecast(
        queue_position=_jobs_ahead(session, job) + 1 if job.state == JobState.QUEUED else None,
        images_ahead=ahead,
        eta_s=None if pace_s is None else (ahead + len(waiting) + held) * pace_s,
    )


def _ahead(session: Session, model: str, rank: float, job_id: UUID | None) -> int:
    others: list[ColumnElement[bool]] = [JobImage.model == model]
    if job_id is not None:
        others.append(JobImage.job_id != job_id)
    held = _count(JobImage.state == ImageState.RUNNING, *others)
    before = _count(JobImage.state == ImageState.QUEUED, JobImage.rank < rank, *others)
    return session.scalar(select(held + before)) or 0


def _count(*where: ColumnElement[bool]) -> ScalarSelect[int]:
    return select(func.count()).select_from(JobImage).where(*where).scalar_subquery()


def _jobs_ahead(session: Session, job: Job) -> int:
    def earlier(other: Priority) -> ColumnElement[bool]:
        bound: Any = jobs.as_if_created(job.created_at, Priority(job.priority), as_priority=other)
        return and_(Job.priority == int(other), Job.created_at < bound)

    ahead = select(func.count()).where(
        Job.state == JobState.QUEUED, Job.model == job.model, or_(*map(earlier, Priority))
    )
    return session.scalar(ahead) or 0
