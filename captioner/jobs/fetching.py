"""Pictures that come from a URL: here now, or to be fetched later."""

from uuid import UUID

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from captioner.clock import now, now_plus
from captioner.jobs.claiming import AWAY, held
from captioner.jobs.controlling import stop_queued
from captioner.work import Claim
from models import ImageState, JobImage, JobState


def any_to_fetch(session: Session, model: str) -> bool:
    """Whether an image of the model is to be fetched now."""
    waiting = select(JobImage.position).where(
        AWAY,
        JobImage.model == model,
        JobImage.state == ImageState.QUEUED,
        or_(JobImage.not_before.is_(None), JobImage.not_before <= now()),
    )
    return session.scalar(waiting.limit(1)) is not None


def fetched(session: Session, claim: Claim, sha256: str) -> dict[UUID, JobState] | None:
    """The image's picture is stored under this hash: the image is `queued`, to be captioned.

    It is marked as published, as by `create`; `canceled` if its job is canceling. Returns the jobs
    changed by a cancel, and how; `None` when the image is not this claim's any more.
    """
    return _queue(session, claim, blob_sha256=sha256, published_at=now())


def fetch_later(session: Session, claim: Claim, *, wait_s: float) -> dict[UUID, JobState]:
    """The host was away: the image is `queued`, not to be fetched for `wait_s` seconds.

    It does not count as a lost attempt, but among the image's `fetch_failures`. Returns the jobs
    changed by a cancel, and how.
    """
    changed = _queue(
        session,
        claim,
        fetch_failures=JobImage.fetch_failures + 1,
        not_before=now_plus(wait_s),
        published_at=None,
    )
    return changed or {}


def _queue(session: Session, claim: Claim, **values: object) -> dict[UUID, JobState] | None:
    still_held = session.execute(
        update(JobImage)
        .where(*held(claim))
        .values(state=ImageState.QUEUED, lease_until=None, **values)
        .returning(JobImage.job_id)
        .execution_options(synchronize_session=False)
    ).first()
    return stop_queued(session, [claim.job_id]) if still_held else None
