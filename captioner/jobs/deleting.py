"""A job goes, with all that it holds. A line remains that says when, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, insert, select, true, update
from sqlalchemy.orm import Session

from captioner import queries, results
from captioner.clock import now, now_plus
from captioner.jobs.claiming import among
from models import (
    DeletedJob,
    DeletionReason,
    DeliveryState,
    ImageState,
    Job,
    JobImage,
    JobState,
    WebhookDelivery,
    WebhookKind,
)

JOBS = 200
"""Jobs that one transaction deletes when their time is over."""
IMAGES = 5_000
"""Images that it takes along at most, besides those of the first job."""
PICTURES = 1_000
"""Images that forget their pictures in one transaction, besides others of the same jobs."""
FINAL = tuple(state for state in JobState if state.final)


@dataclass(frozen=True)
class Gone:
    """Jobs that were deleted in one transaction, and what they held."""

    jobs: Sequence[UUID]
    images: int
    pictures: Sequence[str]
    """Hashes of the pictures that they used, which others may use too; sorted."""
    deleted_at: datetime


def delete_job(session: Session, job_id: UUID) -> Gone:
    """Delete a job in any state, because somebody asked for it.

    Workers that hold its images find no row for their results. The pictures are left to
    `captioner.pictures`, after the commit. Raises `JobNotFound` or `JobDeleted`.
    """
    gone = _delete(session, [job_id], true(), DeletionReason.ASKED)
    if not gone.jobs:
        raise queries.absent(session, job_id)
    return gone


def delete_delivered(session: Session, job_id: UUID) -> Gone:
    """Delete a job if it is final and was not to be stored; else change nothing.

    One whose end is still to be told by a webhook stays until it was.
    """
    untold = select(WebhookDelivery.id).where(
        WebhookDelivery.job_id == Job.id,
        WebhookDelivery.kind == WebhookKind.JOB_FINISHED,
        WebhookDelivery.state == DeliveryState.PENDING,
    )
    unstored = Job.state.in_(FINAL) & ~Job.stored & ~untold.exists()
    return _delete(session, [job_id], unstored, DeletionReason.NOT_STORED)


def delete_old(session: Session, *, kept_s: float) -> Gone:
    """Delete jobs that ended more than `kept_s` ago: the oldest, within bounds for one turn."""
    due = Job.finished_at < now_plus(-kept_s)
    return _delete(session, _first(session, due), due, DeletionReason.RETENTION)


def delete_unfetched(session: Session, *, kept_s: float) -> Gone:
    """Delete jobs that were not to be stored and ended more than `kept_s` ago, within bounds."""
    due = (Job.finished_at < now_plus(-kept_s)) & ~Job.stored
    return _delete(session, _first(session, due), due, DeletionReason.NOT_STORED)


def drop_old_pictures(session: Session, *, kept_s: float) -> list[str]:
    """Let final images forget their pictures, in jobs that ended more than `kept_s` ago.

    Within bounds for one turn. Returns the hashes, for `captioner.pictures` to remove.
    """
    ended = Job.finished_at < now_plus(-kept_s)
    jobs = session.scalars(
        select(JobImage.job_id)
        .join(Job, Job.id == JobImage.job_id)
        .where(JobImage.blob_sha256.is_not(None), JobImage.finished_at < now_plus(-kept_s), ended)
        .order_by(JobImage.finished_at)
        .limit(PICTURES)
    )
    final = [state for state in ImageState if state.final]
    still_ended = select(Job.id).where(Job.id == JobImage.job_id, ended).exists()
    images = session.execute(
        select(JobImage.job_id, JobImage.position, JobImage.blob_sha256)
        .where(
            JobImage.job_id.in_(set(jobs)),
            JobImage.blob_sha256.is_not(None),
            JobImage.state.in_(final),
            still_ended,
        )
        .order_by(JobImage.job_id, JobImage.position)
        .limit(PICTURES)
        .with_for_update(of=JobImage)
    ).all()
    session.execute(
        update(JobImage)
        .where(among((image.job_id, image.position) for image in images))
        .values(blob_sha256=None)
        .execution_options(synchronize_session=False)
    )
    return sorted({image.blob_sha256 for image in images})


def _first(session: Session, due: ColumnElement[bool]) -> list[UUID]:
    rows = session.execute(
        select(Job.id, Job.image_count).where(due).order_by(Job.finished_at).limit(JOBS)
    ).all()
    chosen: list[UUID] = []
    images = 0
    for row in rows:
        images += row.image_count
        if chosen and images > IMAGES:
            break
        chosen.append(row.id)
    return chosen


def _delete(
    session: Session, ids: Sequence[UUID], wanted: ColumnElement[bool], reason: DeletionReason
) -> Gone:
    # Images before jobs, each by id: the order in which all locks are taken.
    images = session.execute(
        select(JobImage.job_id, JobImage.blob_sha256, JobImage.state)
        .where(JobImage.job_id.in_(ids))
        .order_by(JobImage.job_id, JobImage.position)
        .with_for_update()
    ).all()
    # A retry, say, may have come first: only now can nobody change them any more.
    owners = {
        row.id: row.owner
        for row in session.execute(
            select(Job.id, Job.owner)
            .where(Job.id.in_(ids), wanted)
            .order_by(Job.id)
            .with_for_update()
        )
    }
    going = list(owners)
    at: datetime = session.scalars(select(now())).one()
    if going:
        _remove_rows(session, going)
        stones: list[dict[str, Any]] = [
            {"id": job_id, "deleted_at": at, "reason": reason, "owner": owner}
            for job_id, owner in owners.items()
        ]
        session.execute(insert(DeletedJob), stones)
    removed = set(going)
    held = [image for image in images if image.job_id in removed]
    for state in results.ENDED:
        results.note(session, state, -sum(image.state == state for image in held))
    pictures = sorted({image.blob_sha256 for image in held if image.blob_sha256})
    return Gone(going, len(held), pictures, at)


def _remove_rows(session: Session, ids: Sequence[UUID]) -> None:
    for statement in (
        delete(JobImage).where(JobImage.job_id.in_(ids)),
        delete(Job).where(Job.id.in_(ids)),
    ):
        session.execute(statement.execution_options(synchronize_session=False))
