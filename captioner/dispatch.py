"""Which images need a message, and which messages went out. No state is changed here."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from uuid import UUID

from sqlalchemy import case, not_, or_, select, update
from sqlalchemy.orm import Session

from captioner.clock import now, now_plus
from captioner.jobs.claiming import AWAY, among, locked
from captioner.work import Parcel
from models import ImageState, JobImage


def unpublished(session: Session, parcel: Parcel) -> None:
    """Note that no message carries these images: the reconciler will send one."""
    left = locked(
        session,
        JobImage.job_id == parcel.job_id,
        JobImage.position.in_(parcel.positions),
        JobImage.state == ImageState.QUEUED,
    )
    session.execute(
        update(JobImage)
        .where(among(left))
        .values(published_at=None)
        .execution_options(synchronize_session=False)
    )


def take_unpublished(
    session: Session,
    *,
    models: Iterable[str],
    stale_s: float,
    limit: int,
    size: int,
    again_stale_s: float | None = None,
) -> list[Parcel]:
    """Mark queued images as published and return them as parcels to send.

    Those that no message carries, and those whose message is older than `stale_s`: it may be lost,
    and a second one does no harm. `again_stale_s` is that age for images that lost an attempt.
    Images whose picture is still to be fetched need none, unless they lost an attempt.
    """
    sent_before = case(
        (JobImage.lost > 0, now_plus(-(stale_s if again_stale_s is None else again_stale_s))),
        else_=now_plus(-stale_s),
    )
    due = or_(JobImage.published_at.is_(None), JobImage.published_at < sent_before)
    rows = session.execute(
        select(JobImage.job_id, JobImage.model, JobImage.position, JobImage.lost)
        .where(
            JobImage.state == ImageState.QUEUED,
            JobImage.model.in_(list(models)),
            due,
            or_(not_(AWAY), JobImage.lost > 0),
            or_(JobImage.not_before.is_(None), JobImage.not_before <= now()),
        )
        .order_by(JobImage.job_id, JobImage.position)
        .limit(limit)
        .with_for_update(skip_locked=True)
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
        fresh = [image.position for image in images if image.lost == 0]
        parcels += parcels_of(job_id, model, fresh, size)
        parcels += [
            Parcel(job_id, model, (image.position,), again=True)
            for image in images
            if image.lost > 0
        ]
    return parcels


def parcels_of(
    job_id: UUID, model: str, positions: Sequence[int], size: int, *, to_fetch: bool = False
) -> list[Parcel]:
    """The images in messages of at most `size`."""
    return [
        Parcel(job_id, model, tuple(positions[start : start + size]), to_fetch=to_fetch)
        for start in range(0, len(positions), size)
    ]
