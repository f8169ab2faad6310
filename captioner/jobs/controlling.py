"""What a caller may ask of a job that is there: to stop, or to try again."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import case, or_, select, update
from sqlalchemy.orm import Session

from captioner import queries, results
from captioner.clock import now
from captioner.errors import (
    Canceled,
    CaptionerError,
    DeadlinePassed,
    JobFinal,
    JobNotFinal,
    NothingToRetry,
)
from captioner.jobs.counting import Ended, count
from captioner.jobs.plain import WAITS, why_plain, without_styles
from models import CancelCause, ImageState, Job, JobImage, JobState

UNDER_WAY = (JobState.QUEUED, JobState.RUNNING)
FINAL = tuple(state for state in JobState if state.final)
LIMIT = 100
"""Jobs that one look for deadlines takes up."""


def cancel(session: Session, job_id: UUID, *, cause: CancelCause = CancelCause.ASKED) -> JobState:
    """Stop a job. Images that wait are `canceled` at once; the job is `canceling` until no worker
    holds any other, and then `canceled`, or `expired` when its deadline was the cause.

    Images that are final stay as they are. Canceling twice is canceling once. Raises `JobNotFound`,
    `JobDeleted`, and `JobFinal` for a job that has ended in another way.
    """
    stopped = session.execute(
        update(Job)
        .where(Job.id == job_id, Job.state.in_(UNDER_WAY))
        .values(state=JobState.CANCELING, cancel_cause=cause, event_seq=Job.event_seq + 1)
        .returning(Job.id)
        .execution_options(synchronize_session=False)
    ).first()
    if stopped is None:
        return _stopped_before(session, job_id)
    return stop_queued(session, [job_id]).get(job_id, JobState.CANCELING)


def _stopped_before(session: Session, job_id: UUID) -> JobState:
    state = _state(session, job_id)
    if state in (JobState.CANCELING, JobState.CANCELED):
        return state
    raise JobFinal(
        f"The job is {state} already: nothing of it is left to cancel.", job_status=state
    )


def _state(session: Session, job_id: UUID) -> JobState:
    found = session.scalar(select(Job.state).where(Job.id == job_id))
    if found is None:
        raise queries.absent(session, job_id)
    return JobState(found)


def stop_queued(session: Session, job_ids: Iterable[UUID]) -> dict[UUID, JobState]:
    """Cancel the waiting images of those of the jobs that are canceling. Those that wait for their
    styler have their captions, and succeed with these.

    Called after anything that may have put an image back into the queue, and by `cancel`. Returns
    the jobs changed, and how.
    """
    changed: dict[UUID, JobState] = {}
    for job_id in sorted(set(job_ids)):
        # Locked in any state: a cancel that is not committed yet must be waited for.
        row = session.execute(
            select(Job.state, Job.cancel_cause).where(Job.id == job_id).with_for_update()
        ).first()
        if row is not None and row.state == JobState.CANCELING:
            why = reason(CancelCause(row.cancel_cause or CancelCause.ASKED))
            positions = _cancel_queued(session, job_id, why)
            plain = without_styles(session, job_id, why_plain(why))
            if positions or plain:
                changed |= count(session, {job_id: Ended(succeeded=plain, canceled=positions)})
    return changed


def reason(cause: CancelCause) -> CaptionerError:
    """What an image that was stopped says of it."""
    if cause is CancelCause.DEADLINE:
        return DeadlinePassed("The job's deadline passed before this picture had its caption.")
    return Canceled("The job was canceled before this picture had its caption.")


def _cancel_queued(session: Session, job_id: UUID, why: CaptionerError) -> list[int]:
    waiting = session.scalars(
        select(JobImage.position)
        .where(JobImage.job_id == job_id, JobImage.state == ImageState.QUEUED)
        .with_for_update(skip_locked=True)
    ).all()
    if waiting:
        session.execute(
            update(JobImage)
            .where(JobImage.job_id == job_id, JobImage.position.in_(waiting))
            .values(
                state=ImageState.CANCELED,
                error_code=why.code,
                error_detail=why.detail,
                finished_at=now(),
            )
            .execution_options(synchronize_session=False)
        )
    return list(waiting)


def expire_due(session: Session) -> dict[UUID, JobState]:
    """Stop the jobs whose deadline has passed. Returns them, and what they are now."""
    due = session.scalars(_DUE).all()
    return {job_id: cancel(session, job_id, cause=CancelCause.DEADLINE) for job_id in due}


_DUE = (  # made once: it runs twice a second
    select(Job.id)
    .where(Job.state.in_(UNDER_WAY), Job.deadline_at < now())
    .order_by(Job.id)
    .limit(LIMIT)
    .with_for_update(skip_locked=True)
)


def stop_left(session: Session) -> dict[UUID, JobState]:
    """Cancel images that still wait in jobs that are canceling: `cancel` skips what others hold.

    Returns the jobs changed, and how.
    """
    waiting = select(JobImage.job_id).where(
        JobImage.job_id == Job.id, or_(JobImage.state == ImageState.QUEUED, WAITS)
    )
    left = session.scalars(
        select(Job.id).where(Job.state == JobState.CANCELING, waiting.exists()).limit(LIMIT)
    ).all()
    return stop_queued(session, left)


def retry(session: Session, job_id: UUID, *, only_failed: bool = False) -> list[int]:
    """Queue the job's failed and canceled images again, or only the failed ones.

    The job is `queued` again, without a deadline, and its lost attempts are forgiven. Pictures that
    were refused, or are no longer stored, are left as they are. The images are marked as published,
    as by `create`. Returns their positions. Raises `JobNotFound`, `JobDeleted`, `JobNotFinal`,
    `NothingToRetry`.
    """
    wanted = (ImageState.FAILED,) if only_failed else (ImageState.FAILED, ImageState.CANCELED)
    found = _to_retry(session, job_id, wanted)
    failed = [position for position, state in found if state == ImageState.FAILED]
    canceled = [position for position, state in found if state == ImageState.CANCELED]
    _requeue(session, job_id, [position for position, _ in found])
    reopened = session.execute(
        update(Job)
        .where(Job.id == job_id, Job.state.in_(FINAL))
        .values(
            state=JobState.QUEUED,
            run=Job.run + 1,
            event_seq=Job.event_seq + 1,
            failed_count=Job.failed_count - len(failed),
            canceled_count=Job.canceled_count - len(canceled),
            started_at=None,
            finished_at=None,
            deadline_at=None,
            # Of images that stay canceled: the job ends as before, when they are all that is left.
            cancel_cause=case((Job.canceled_count > len(canceled), Job.cancel_cause), else_=None),
            expected_at=None,
        )
        .returning(Job.id)
        .execution_options(synchronize_session=False)
    ).first()
    if reopened is None:
        state = _state(session, job_id)
        raise JobNotFinal(f"The job is {state}: wait for its end, or cancel it.", job_status=state)
    if not failed and not canceled:
        raise NothingToRetry("No picture of this job has failed in a way that can be tried again.")
    results.note(session, ImageState.FAILED, -len(failed))
    results.note(session, ImageState.CANCELED, -len(canceled))
    return sorted(failed + canceled)


def _to_retry(
    session: Session, job_id: UUID, states: Sequence[ImageState]
) -> list[tuple[int, ImageState]]:
    final = select(Job.id).where(Job.id == job_id, Job.state.in_(FINAL)).exists()
    kept = or_(JobImage.blob_sha256.is_not(None), JobImage.source_url.is_not(None))
    rows = session.execute(
        select(JobImage.position, JobImage.state)
        .where(JobImage.job_id == job_id, JobImage.state.in_(states), kept, final)
        .order_by(JobImage.position)
        .with_for_update(of=JobImage)
    )
    return [(row.position, ImageState(row.state)) for row in rows]


def _requeue(session: Session, job_id: UUID, positions: Sequence[int]) -> None:
    session.execute(
        update(JobImage)
        .where(JobImage.job_id == job_id, JobImage.position.in_(positions))
        .values(
            state=ImageState.QUEUED,
            lost=0,
            fetch_failures=0,
            error_code=None,
            error_detail=None,
            retried_for=None,
            not_before=None,
            waiting_since=None,
            event_seq=None,
            worker=None,
            started_at=None,
            finished_at=None,
            published_at=now(),
        )
        .execution_options(synchronize_session=False)
    )
