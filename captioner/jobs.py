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
from captioner.work import Claim, Outcome, Picture
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
    retry_s: float,
    again: bool = False,
) -> list[Claim]:
    """Take those of the images that are free; the rest are somebody else's, or final.

    First attempts, unless `again`: then later ones, which the caller works on one by one. Images
    whose lease ran out are freed by `take_back_expired`, not here. `retry_s` is the age up to
    which a job waits for a part that is away.
    """
    rows = session.execute(
        update(JobImage)
        .where(
            *_within(job_id, positions),
            JobImage.state == ImageState.QUEUED,
            JobImage.attempt > 0 if again else JobImage.attempt == 0,
            JobImage.attempt < max_attempts,
            or_(JobImage.not_before.is_(None), JobImage.not_before <= now()),
        )
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
    model, prompt, may_wait = session.execute(
        select(Job.model, Job.prompt, Job.created_at > now_plus(-retry_s)).where(Job.id == job_id)
    ).one()
    return [
        Claim(job_id, row.position, row.attempt, row.blob_sha256, model, prompt, bool(may_wait))
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
    """Push back the end of the leases that are still held. One statement a job and attempt."""
    ordered = sorted(claims, key=lambda c: (c.job_id, c.attempt, c.position))
    for (job_id, attempt), group in groupby(ordered, lambda c: (c.job_id, c.attempt)):
        session.execute(
            update(JobImage)
            .where(
                *_within(job_id, [held.position for held in group]),
                JobImage.attempt == attempt,
                JobImage.state == ImageState.RUNNING,
            )
            .values(lease_until=now_plus(lease_s))
            .execution_options(synchronize_session=False)
        )


def release(session: Session, claims: Iterable[Claim], *, wait_s: float = 0) -> None:
    """Hand images back: `queued` again, unpublished, and the attempt does not count.

    Nobody takes them again for `wait_s` seconds.
    """
    for claim in claims:
        session.execute(
            update(JobImage)
            .where(*_held(claim))
            .values(
                state=ImageState.QUEUED,
                attempt=JobImage.attempt - 1,
                not_before=now_plus(wait_s),
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


def take_back_expired(session: Session, *, max_attempts: int) -> list[UUID]:
    """Free the images whose lease ran out; fail those without attempts left (`worker_lost`).

    Returns the jobs that became final by it.
    """
    expired = and_(JobImage.state == ImageState.RUNNING, JobImage.lease_until < now())
    session.execute(
        update(JobImage)
        .where(expired, JobImage.attempt < max_attempts)
        .values(state=ImageState.QUEUED, lease_until=None, published_at=None)
        .execution_options(synchronize_session=False)
    )
    # Also those that were queued when more attempts were allowed than now.
    spent = or_(expired, JobImage.state == ImageState.QUEUED)
    lost = WorkerLost(f"{max_attempts} workers in a row were lost while they held this picture.")
    given_up = session.execute(
        update(JobImage)
        .where(spent, JobImage.attempt >= max_attempts)
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
    # Jobs after images, here as in `finish`, so that the two cannot block each other.
    ended = []
    for job_id, group in groupby(sorted(given_up)):
        if _count(session, job_id, 0, len(list(group))).final:
            ended.append(job_id)
    return ended
