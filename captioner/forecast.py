"""How long the line is, how fast it moves, and when a job will be through.

A forecast is images ahead, and the job's own, times measured seconds per image. What comes later
with a better rank, and what of it fails, is not foreseen; how far off it was is a metric.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, ScalarSelect, Select, and_, bindparam, func, or_, select
from sqlalchemy.orm import Session

from captioner import jobs, queries
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


def ahead(
    session: Session,
    *,
    model: str,
    images: int,
    priority: Priority,
    pace_s: float,
    created: datetime,
) -> int:
    """Images that would go before the last one of a job of so many, if it were created then."""
    last = jobs.rank(images - 1, created=created, priority=priority, pace_s=pace_s)
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
    given = {"of_model": model, "before": rank, "but": job_id}
    if job_id is None:
        del given["but"]
    return session.scalar(_AHEAD[job_id is not None], given) or 0


def _count(*where: ColumnElement[bool]) -> ScalarSelect[int]:
    return select(func.count()).select_from(JobImage).where(*where).scalar_subquery()


def _counting(*, of_others: bool) -> Select[tuple[int]]:
    others: list[ColumnElement[bool]] = [JobImage.model == bindparam("of_model")]
    if of_others:
        others.append(JobImage.job_id != bindparam("but"))
    held = _count(JobImage.state == ImageState.RUNNING, *others)
    queued = JobImage.state == ImageState.QUEUED
    return select(held + _count(queued, JobImage.rank < bindparam("before"), *others))


_AHEAD = {of_others: _counting(of_others=of_others) for of_others in (False, True)}
"""Made once: to make it costs more than to run it."""


def _jobs_ahead(session: Session, job: Job) -> int:
    def earlier(other: Priority) -> ColumnElement[bool]:
        bound: Any = jobs.as_if_created(job.created_at, Priority(job.priority), as_priority=other)
        return and_(Job.priority == int(other), Job.created_at < bound)

    ahead = select(func.count()).where(
        Job.state == JobState.QUEUED, Job.model == job.model, or_(*map(earlier, Priority))
    )
    return session.scalar(ahead) or 0
