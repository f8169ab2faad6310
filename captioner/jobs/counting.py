"""What a change of images means for their job: its counts, its state, the numbers of its events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Integer, Update, and_, bindparam, case, select, update
from sqlalchemy.orm import Session

from captioner import results
from captioner.clock import now
from captioner.webhooks import outbox
from models import CancelCause, ImageState, Job, JobImage, JobState, WebhookKind

NO_TIMES: Mapping[tuple[UUID, int], float] = {}


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


@dataclass(frozen=True)
class Counted:
    """What the change means for the jobs."""

    states: Mapping[UUID, JobState]
    numbers: Mapping[tuple[UUID, int], int]
    """Of the images among their job's events; the job's end, when this is it, has the next one."""
    to_tell: Sequence[UUID]
    """The jobs that ended and have a receiver."""

    def told(self, session: Session) -> dict[UUID, JobState]:
        """Note the webhooks, which tell of images that are written by now. Returns the states."""
        for job_id in self.to_tell:
            outbox.note(session, job_id, WebhookKind.JOB_FINISHED)
        return dict(self.states)


def count(session: Session, ended: Mapping[UUID, Ended]) -> dict[UUID, JobState]:
    """Add to the jobs' counts and let their states follow. Returns those states.

    The caller has changed the images in this transaction already. They get their numbers here, and
    the job's webhook is noted. The same few statements for one job and for many.
    """
    counted = add(session, ended)
    if counted.numbers:
        session.connection().execute(
            _NUMBER,
            [
                {"of_job": job_id, "at": position, "number": number}
                for (job_id, position), number in counted.numbers.items()
            ],
        )
    return counted.told(session)


def add(
    session: Session,
    ended: Mapping[UUID, Ended],
    *,
    seconds: Mapping[tuple[UUID, int], float] = NO_TIMES,
) -> Counted:
    """As `count`, for a caller that writes the images, and calls `told`, after this.

    `seconds`: how long a worker took, by job and position, where one took them.
    """
    if not ended:
        return Counted({}, {}, ())
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
    rows = session.connection().execute(_COUNTED, {"ids": list(ended)}).all()
    states = {row.id: JobState(row.state) for row in rows}
    numbers: dict[tuple[UUID, int], int] = {}
    for row in rows:
        positions = ended[row.id].positions
        first = row.event_seq - len(positions) + (0 if states[row.id].final else 1)
        numbers |= {(row.id, position): first + n for n, position in enumerate(positions)}
    to_tell = [row.id for row in rows if row.webhook_url is not None and states[row.id].final]
    _note(session, ended, seconds)
    return Counted(states, numbers, to_tell)


def _note(
    session: Session, ended: Mapping[UUID, Ended], seconds: Mapping[tuple[UUID, int], float]
) -> None:
    for job_id, images in ended.items():
        for state, positions in (
            (ImageState.SUCCEEDED, images.succeeded),
            (ImageState.FAILED, images.failed),
            (ImageState.CANCELED, images.canceled),
        ):
            for position in positions:
                results.note(session, state, seconds=seconds.get((job_id, position)))


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
_COUNTED = select(Job.id, Job.state, Job.event_seq, Job.webhook_url).where(
    Job.id.in_(bindparam("ids", expanding=True))
)
_NUMBER = (
    update(JobImage)
    .where(JobImage.job_id == bindparam("of_job"), JobImage.position == bindparam("at"))
    .values(event_seq=bindparam("number"))
)
