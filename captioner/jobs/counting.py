"""What a change of images means for their job: its counts, its state, the numbers of its events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Integer, Update, and_, bindparam, case, select, update
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


def count(session: Session, ended: Mapping[UUID, Ended]) -> dict[UUID, JobState]:
    """Add to the jobs' counts and let their states follow. Returns those states.

    The caller has changed the images in this transaction already. They get the next numbers among
    their job's events, and the job's end, when this is it, the one after. Its webhook is noted,
    too. The same few statements for one job and for many.
    """
    if not ended:
        return {}
    session.connection().execute(
        _COUNT,
        [
            {
                "of_job": job_id,
                "succeeded": len(ended[job_id].succeeded),
                "failed": len(ended[job_id].failed),
                "canceled": len(ended[job_id].canceled),
            }
            for job_id in sorted(ended)
        ],
    )
    rows = session.execute(
        select(Job.id, Job.state, Job.event_seq, Job.webhook_url).where(Job.id.in_(ended))
    ).all()
    states = {row.id: JobState(row.state) for row in rows}
    numbers = []
    for row in rows:
        positions = ended[row.id].positions
        first = row.event_seq - len(positions) + (0 if states[row.id].final else 1)
        numbers += [
            {"of_job": row.id, "at": position, "number": first + n}
            for n, position in enumerate(positions)
        ]
    if numbers:
        session.connection().execute(_NUMBER, numbers)
    for row in rows:
        if row.webhook_url is not None and states[row.id].final:
            outbox.note(session, row.id, WebhookKind.JOB_FINISHED)
    return states


def _counting() -> Update:
    """One job's counts and its state, in one statement, so that no count is lost."""
    succeeded = Job.succeeded_count + bindparam("succeeded", type_=Integer)
    failed = Job.failed_count + bindparam("failed", type_=Integer)
    canceled = Job.canceled_count + bindparam("canceled", type_=Integer)
    unfinished = succeeded + failed + canceled < Job.image_count
    added = sum(bindparam(name, type_=Integer) for name in ("succeeded", "failed", "canceled"))
    return (
        update(Job)
        .where(Job.id == bindparam("of_job"))
        .values(
            succeeded_count=succeeded,
            failed_count=failed,
            canceled_count=canceled,
            event_seq=Job.event_seq + added + case((unfinished, 0), else_=1),
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
    )


_COUNT = _counting()
_NUMBER = (
    update(JobImage)
    .where(JobImage.job_id == bindparam("of_job"), JobImage.position == bindparam("at"))
    .values(event_seq=bindparam("number"))
)
