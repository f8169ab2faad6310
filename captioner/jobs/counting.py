"""What a change of images means for their job: its counts, its state, the numbers of its events."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import and_, bindparam, case, update
from sqlalchemy.orm import Session

from captioner.clock import now
from captioner.webhooks import outbox
from models import CancelCause, ImageState, Job, JobImage, JobState, WebhookKind


@dataclass(frozen=True)
class Ended:
    """Images of one job that have just become final, by position."""

    succeeded: Sequence[int] = ()
    failed: Sequence[int] = ()
    canceled: Sequence[int] = ()

    @classmethod
    def of(cls, found: Sequence[tuple[int, ImageState]]) -> "Ended":
        """From positions and the states that they reached."""
        by_state = {state: [p for p, s in found if s == state] for state in ImageState}
        return cls(
            by_state[ImageState.SUCCEEDED],
            by_state[ImageState.FAILED],
            by_state[ImageState.CANCELED],
        )

    @property
    def positions(self) -> list[int]:
        """All of them."""
        return sorted((*self.succeeded, *self.failed, *self.canceled))


def count(session: Session, job_id: UUID, ended: Ended) -> JobState:
    """Add to the job's counts and let its state follow, in one statement, so that none is lost.

    The caller has changed the images in this transaction already. They get the next numbers among
    the job's events, and the job's end, when this is it, the one after. Its webhook is noted, too.
    """
    succeeded = Job.succeeded_count + len(ended.succeeded)
    canceled = Job.canceled_count + len(ended.canceled)
    failed = Job.failed_count + len(ended.failed)
    unfinished = succeeded + failed + canceled < Job.image_count
    number = len(ended.positions)
    row = session.execute(
        update(Job)
        .where(Job.id == job_id)
        .values(
            succeeded_count=succeeded,
            failed_count=failed,
            canceled_count=canceled,
            event_seq=Job.event_seq + number + case((unfinished, 0), else_=1),
            finished_at=case((unfinished, None), else_=now()),
            state=case(
                (
                    and_(unfinished, Job.state == JobState.CANCELING.value),
                    JobState.CANCELING.value,
                ),
                (unfinished, JobState.RUNNING.value),
                (
                    and_(canceled > 0, Job.cancel_cause == CancelCause.DEADLINE.value),
                    JobState.EXPIRED.value,
                ),
                (canceled > 0, JobState.CANCELED.value),
                (succeeded == Job.image_count, JobState.SUCCEEDED.value),
                (succeeded == 0, JobState.FAILED.value),
                else_=JobState.PARTIAL.value,
            ),
        )
        .returning(Job.state, Job.event_seq)
        .execution_options(synchronize_session=False)
    ).one()
    state = JobState(row.state)
    first = row.event_seq - number + (0 if state.final else 1)
    _number(session, job_id, ended.positions, first=first)
    if state.final:
        outbox.note(session, job_id, WebhookKind.JOB_FINISHED)
    return state


def _number(session: Session, job_id: UUID, positions: Sequence[int], *, first: int) -> None:
    if not positions:
        return
    session.connection().execute(
        update(JobImage)
        .where(JobImage.job_id == bindparam("of_job"), JobImage.position == bindparam("at"))
        .values(event_seq=bindparam("number")),
        [
            {"of_job": job_id, "at": position, "number": first + n}
            for n, position in enumerate(positions)
        ],
    )
