"""Which images need a message, and which messages went out. No state is changed here."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from uuid import UUID

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from captioner.clock import now, now_plus
from captioner.work import Parcel
from models import ImageState, Job, JobImage


def unpublished(session: Session, parcel: Parcel) -> None:
    """Note that no message carries these images: the reconciler will send one."""
    session.execute(
        update(JobImage)
        .where(
            JobImage.job_id == parcel.job_id,
            JobImage.position.in_(parcel.positions),
            JobImage.state == ImageState.QUEUED,
        )
        .values(published_at=None)
        .execution_options(synchronize_session=False)
    )


def take_unpublished(
    session: Session, *, models: Iterable[str], stale_s: float, limit: int, size: int
) -> list[Parcel]:
    """Mark queued images as published and return them as parcels to send.

    Those that no message carries, and those whose message is older than `stale_s`: it may be lost,
    and a second one does no harm.
    """
    due = or_(JobImage.published_at.is_(None), JobImage.published_at < now_plus(-stale_s))
    rows = session.execute(
        select(JobImage.job_id, Job.model, JobImage.position, JobImage.attempt)
        .join(Job, Job.id == JobImage.job_id)
        .where(
            JobImage.state == ImageState.QUEUED,
            Job.model.in_(list(models)),
            due,
            or_(JobImage.not_before.is_(None), JobImage.not_before <= now()),
        )
        .order_by(JobImage.job_id, JobImage.position)
        .limit(limit)
        .with_for_update(skip_locked=True, of=JobImage)
    ).all()
    parcels = []
    for (job_id, model), group in groupby(rows, lambda row: (row.job_id, row.model)):
        images = list(group)
        session.execute(
            update(JobImage)
            .where(
                JobImage.job_id == job_id,
                JobImage.position.in_([image.position for image in images]),
            )
            .values(published_at=now())
            .execution_options(synchronize_session=False)
        )
        fresh = [image.position for image in images if image.attempt == 0]
        parcels += parcels_of(job_id, model, fresh, size)
        parcels += [
            Parcel(job_id, model, (image.position,), again=True)
            for image in images
            if image.attempt > 0
        ]
    return parcels


def parcels_of(job_id: UUID, model: str, positions: Sequence[int], size: int) -> list[Parcel]:
    """The images in messages of at most `size`."""
    return [
        Parcel(job_id, model, tuple(positions[start : start + size]))
        for start in range(0, len(positions), size)
    ]
