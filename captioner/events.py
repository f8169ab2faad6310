"""What happened to a job since an event that a client has seen: read from the rows, kept nowhere.

An image that became final has a number among the events of its job, so a client that was cut off,
or whose server was restarted, goes on after the last number that it got.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import ImageState, Job, JobImage


@dataclass(frozen=True)
class News:
    """The images that became final after an event, in that order, and the job as it is now."""

    job: Job
    images: Sequence[JobImage]
    to_style: Sequence[JobImage] = ()
    """Those that have their plain captions, and no more yet."""


def since(session: Session, job_id: UUID, *, after: int) -> News | None:
    """What came after the event with that number; `None` when there is no such job.

    In a `snapshot` a job that is read as final is never without its last images.
    """
    found = session.get(Job, job_id)
    if found is None:
        return None
    images = session.scalars(
        select(JobImage)
        .where(JobImage.job_id == job_id, JobImage.event_seq > after)
        .order_by(JobImage.event_seq)
    ).all()
    return News(found, images, _to_style(session, found))


def _to_style(session: Session, job: Job) -> Sequence[JobImage]:
    if job.styling is None:
        return ()
    styling = JobImage.state == ImageState.STYLING
    return session.scalars(select(JobImage).where(JobImage.job_id == job.id, styling)).all()
