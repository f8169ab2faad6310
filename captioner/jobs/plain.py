"""Images that get no styles: they succeed with their plain captions, and say why."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import and_, select, update
from sqlalchemy.orm import Session

from captioner.clock import now
from captioner.errors import Canceled, CaptionerError, DeadlinePassed
from captioner.jobs.claiming import among
from captioner.jobs.keys import Key
from captioner.styles import StyleStatus
from models import ImageState, JobImage

WAITS = and_(JobImage.state == ImageState.STYLING, JobImage.lease_until.is_(None))
"""The condition that an image has its caption, and no styler is at work on it."""
REASONS = {
    Canceled.code: Canceled("The job was canceled before this picture had its styles."),
    DeadlinePassed.code: DeadlinePassed(
        "The job's deadline passed before this picture had its styles."
    ),
}


def why_plain(stopped: CaptionerError) -> CaptionerError:
    """What an image says of its styles, when its job was stopped for this."""
    return REASONS.get(stopped.code, stopped)


def leave_plain(session: Session, keys: Sequence[Key], why: CaptionerError) -> None:
    """These succeed without styles. The caller holds them, and counts them."""
    session.execute(
        update(JobImage)
        .where(among(keys))
        .values(
            state=ImageState.SUCCEEDED,
            style_status=StyleStatus.FALLBACK,
            style_code=why.code,
            style_detail=why.detail,
            lease_until=None,
            finished_at=now(),
        )
        .execution_options(synchronize_session=False)
    )


def without_styles(session: Session, job_id: UUID, why: CaptionerError) -> list[int]:
    """Leave those of a job plain that wait for their styler. Returns their positions."""
    waiting = session.scalars(
        select(JobImage.position)
        .where(JobImage.job_id == job_id, WAITS)
        .with_for_update(skip_locked=True)
    ).all()
    if waiting:
        leave_plain(session, [(job_id, position) for position in waiting], why)
    return list(waiting)
