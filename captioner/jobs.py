"""Every change of state, as conditional updates. No other module changes a job or an image.

    image:  queued -> running -> succeeded | failed
               ^         |
               +---------+   the lease ran out, or the worker handed it back
    job:    queued -> running -> succeeded | partial | failed     (follows from its images)

A claim raises `attempt` and sets a lease; a result is taken only from the attempt that the row
names, so a late or second delivery changes nothing. Times are the database's own.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, or_, select, update
from sqlalchemy.orm import Session

from captioner.clock import now, now_plus
from captioner.errors import WorkerLost
from captioner.work import Claim, Outcome, Parcel, Picture
from models import ImageState, Job, JobImage, JobState


def create(
    session: Session, *, job_id: UUID, model: str, prompt: str | None, pictures: Sequence[Picture]
) -> None:
    """Write a job and its images: `queued`, but `failed` where a picture was refused.

    At least one picture must be stored. The images are marked as published: the caller is about
    to do it, and says so with `unpublished` when it could not.
    """
    refused = sum(picture.refusal is not None for picture in pictures)
    if refused == len(pictures):
        raise ValueError("a job needs at least one picture that can be captioned")
    job = Job(
        id=job_id,
        state=JobState.QUEUED,
        model=model,
        prompt=prompt,
        image_count=len(pictures),
        succeeded_count=0,
        failed_count=refused,
        created_at=now(),
    )
    session.add(job)
    session.flush()
    session.add_all(_row(job_id, position, picture) for position, picture in enumerate(pictures))


def _row(job_id: UUID, position: int, picture: Picture) -> JobImage:
    row = JobImage(job_id=job_id, position=position, file_name=picture.file_name, attempt=0)
    if picture.refusal is None:
        row.state = ImageState.QUEUED
        row.blob_sha256 = picture.blob_sha256
        row.published_at = now()
    else:
        row.state = ImageState.FAILED
        row.error_code = picture.refusal.code
        row.error_detail = picture.refusal.detail
        row.finished_at = now()
    return row


def _within(job_id: UUID, positions: Iterable[int]) -> list[ColumnElement[bool]]:
    return [JobImage.job_id == job_id, JobImage.position.in_(list(positions))]


def claim(
    session: Session,
    *,
    job_id: UUID,
    positions: Sequence[int],
    worker: str,
    lease_s: float,
    max_attempts: int,
) -> list[Claim]:
    """Take those of the images that are free; the rest are somebody else's, or final."""
    free = or_(
        JobImage.state == ImageState.QUEUED,
        and_(JobImage.state == ImageState.RUNNING, JobImage.lease_until < now()),
    )
    rows = session.execute(
        update(JobImage)
        .where(*_within(job_id, positions), JobImage.attempt < max_attempts, free)
        .values(
            state=ImageState.RUNNING,
            attempt=JobImage.attempt + 1,
            lease_until=now_plus(lease_s),
            worker=worker,
            started_at=now(),
        )
        .returning(JobImage.position, JobImage.attempt, JobImage.blob_sha256)
        .execution_options(synchronize_session=False)
    ).all()
    if not rows:
        return []
    _start(session, job_id)
    model, prompt = session.execute(select(Job.model, Job.prompt).where(Job.id == job_id)).one()
    return [
        Claim(job_id, row.position, row.attempt, row.blob_sha256, model, prompt)
        for row in sorted(rows, key=lambda row: row.position)
    ]


def _start(session: Session, job_id: UUID) -> None:
    session.execute(
        update(Job)
        .where(Job.id == job_id, Job.state == JobState.QUEUED)
        .values(state=JobState.RUNNING, started_at=now())
    )


def _held(claim: Claim) -> list[ColumnElement[bool]]:
    return [
        JobImage.job_id == claim.job_id,
        JobImage.position == claim.position,
        JobImage.attempt == claim.attempt,
        JobImage.state == ImageState.RUNNING,
    ]


def renew(session: Session, claims: Iterable[Claim], *, lease_s: float) -> None:
    """Push back the end of the leases that are still held. One statement a job."""
    for job_id, group in groupby(
        sorted(claims, key=lambda c: (c.job_id, c.attempt, c.position)), lambda c: c.job_id
    ):
        held = [and_(JobImage.position == c.position, JobImage.attempt == c.attempt) for c in group]
        session.execute(
            update(JobImage)
            .where(JobImage.job_id == job_id, JobImage.state == ImageState.RUNNING, or_(*held))
            .values(lease_until=now_plus(lease_s))
            .execution_options(synchronize_session=False)
        )


def release(session: Session, claims: Iterable[Claim], *, counts: bool) -> None:
    """Hand images back: `queued` again and unpublished. `counts`: whether the attempt does."""
    for claim in claims:
        session.execute(
            update(JobImage)
            .where(*_held(claim))
            .values(
                state=ImageState.QUEUED,
                attempt=JobImage.attempt - (0 if counts else 1),
                lease_until=None,
                published_at=None,
            )
            .execution_options(synchronize_session=False)
        )


def finish(session: Session, outcomes: Iterable[Outcome]) -> list[UUID]:
    """Store results of current attempts; drop late ones. Returns the jobs that are now final."""
    ended = []
    ordered = sorted(outcomes, key=lambda o: (o.claim.job_id, o.claim.position))
    for job_id, group in groupby(ordered, lambda o: o.claim.job_id):
        stored = [outcome for outcome in group if _store(session, outcome)]
        failed = sum(outcome.error is not None for outcome in stored)
        if stored and _count(session, job_id, len(stored) - failed, failed).final:
            ended.append(job_id)
    return ended


def _store(session: Session, outcome: Outcome) -> bool:
    error = outcome.error
    values: dict[str, object] = {
        "state": ImageState.FAILED if error else ImageState.SUCCEEDED,
        "caption": None if error else outcome.caption,
        "error_code": error.code if error else None,
        "error_detail": error.detail if error else None,
        "model_revision": outcome.model_revision,
        "lease_until": None,
        "finished_at": now(),
        "decode_ms": outcome.timings.decode_ms,
        "wait_ms": outcome.timings.wait_ms,
        "infer_ms": outcome.timings.infer_ms,
    }
    stored = session.execute(
        update(JobImage)
        .where(*_held(outcome.claim))
        .values(**values)
        .returning(JobImage.position)
        .execution_options(synchronize_session=False)
    )
    return stored.first() is not None


def _count(session: Session, job_id: UUID, succeeded: int, failed: int) -> JobState:
    """Add to the job's counts and let its state follow, in one statement, so that none is lost."""
    all_succeeded = Job.succeeded_count + succeeded
    done = all_succeeded + Job.failed_count + failed
    unfinished = done < Job.image_count
    state = session.execute(
        update(Job)
        .where(Job.id == job_id)
        .values(
            succeeded_count=all_succeeded,
            failed_count=Job.failed_count + failed,
            finished_at=case((unfinished, None), else_=now()),
            state=case(
                (unfinished, JobState.RUNNING.value),
                (all_succeeded == Job.image_count, JobState.SUCCEEDED.value),
                (all_succeeded == 0, JobState.FAILED.value),
                else_=JobState.PARTIAL.value,
            ),
        )
        .returning(Job.state)
        .execution_options(synchronize_session=False)
    ).scalar_one()
    return JobState(state)


def unpublished(session: Session, parcel: Parcel) -> None:
    """Note that no message carries these images: the reconciler will send one."""
    session.execute(
        update(JobImage)
        .where(*_within(parcel.job_id, parcel.positions), JobImage.state == ImageState.QUEUED)
        .values(published_at=None)
        .execution_options(synchronize_session=False)
    )


def take_back_expired(session: Session, *, max_attempts: int) -> list[UUID]:
    """Free the images whose lease ran out; fail those without attempts left (`worker_lost`).

    Returns the jobs that became final by it.
    """
    expired = and_(JobImage.state == ImageState.RUNNING, JobImage.lease_until < now())
    lost = WorkerLost(f"{max_attempts} workers in a row were lost while they held this picture.")
    given_up = session.execute(
        update(JobImage)
        .where(expired, JobImage.attempt >= max_attempts)
        .values(
            state=ImageState.FAILED,
            error_code=lost.code,
            error_detail=lost.detail,
            lease_until=None,
            finished_at=now(),
        )
        .returning(JobImage.job_id)
        .execution_options(synchronize_session=False)
    ).scalars()
    ended = []
    for job_id, group in groupby(sorted(given_up)):
        if _count(session, job_id, 0, len(list(group))).final:
            ended.append(job_id)
    session.execute(
        update(JobImage)
        .where(expired, JobImage.attempt < max_attempts)
        .values(state=ImageState.QUEUED, lease_until=None, published_at=None)
        .execution_options(synchronize_session=False)
    )
    return ended


def take_unpublished(
    session: Session, *, models: Iterable[str], stale_s: float | None, limit: int, size: int
) -> list[Parcel]:
    """Mark queued images as published and return them as parcels to send.

    Those that no message carries; with `stale_s` also those whose message is that old and, as the
    caller knows from an empty queue, is gone.
    """
    due: ColumnElement[bool] = JobImage.published_at.is_(None)
    if stale_s is not None:
        due = or_(due, JobImage.published_at < now_plus(-stale_s))
    rows = session.execute(
        select(JobImage.job_id, Job.model, JobImage.position, JobImage.attempt)
        .join(Job, Job.id == JobImage.job_id)
        .where(JobImage.state == ImageState.QUEUED, Job.model.in_(list(models)), due)
        .order_by(JobImage.job_id, JobImage.position)
        .limit(limit)
        .with_for_update(skip_locked=True, of=JobImage)
    ).all()
    parcels = []
    for (job_id, model), group in groupby(rows, lambda row: (row.job_id, row.model)):
        images = list(group)
        session.execute(
            update(JobImage)
            .where(*_within(job_id, [image.position for image in images]))
            .values(published_at=now())
            .execution_options(synchronize_session=False)
        )
        fresh = [image.position for image in images if image.attempt == 0]
        parcels += parcels_of(job_id, model, fresh, size)
        parcels += parcels_of(job_id, model, [i.position for i in images if i.attempt > 0], 1)
    return parcels


def parcels_of(job_id: UUID, model: str, positions: Sequence[int], size: int) -> list[Parcel]:
    """The images in messages of at most `size`."""
    return [
        Parcel(job_id, model, tuple(positions[start : start + size]))
        for start in range(0, len(positions), size)
    ]
