"""Images that have their captions, and get styles."""

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, select, tuple_, update
from sqlalchemy.orm import Session

from captioner.clock import now, now_plus
from captioner.jobs.claiming import among, held
from captioner.jobs.counting import Ended, count
from captioner.jobs.plain import WAITS
from captioner.styles import Styler, StyleStatus, Styling
from captioner.work import Claim, StyleOutcome
from models import ImageState, Job, JobImage, JobState


def any_to_style(session: Session, stylers: Iterable[Styler]) -> bool:
    """Whether an image waits for one of these stylers."""
    waiting = select(JobImage.position).where(*_free(stylers)).limit(1)
    return session.scalar(waiting) is not None


def claim_to_style(
    session: Session, *, stylers: Iterable[Styler], limit: int, worker: str, lease_s: float
) -> list[Claim]:
    """Take the images that are next in line for these stylers, at most `limit`; maybe none."""
    keys = [
        (row.job_id, row.position)
        for row in session.execute(
            select(JobImage.job_id, JobImage.position)
            .where(*_free(stylers))
            .order_by(JobImage.rank, JobImage.job_id, JobImage.position)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
    ]
    if not keys:
        return []
    rows = session.execute(
        update(JobImage)
        .where(among(keys))
        .values(attempt=JobImage.attempt + 1, lease_until=now_plus(lease_s), worker=worker)
        .returning(
            JobImage.job_id,
            JobImage.position,
            JobImage.attempt,
            JobImage.model,
            JobImage.styler,
            JobImage.caption,
            JobImage.rank,
        )
        .execution_options(synchronize_session=False)
    ).all()
    wishes = {
        row.id: Styling.from_json(row.styling or "{}")
        for row in session.execute(
            select(Job.id, Job.styling).where(Job.id.in_({job_id for job_id, _ in keys}))
        )
    }
    found = {(row.job_id, row.position): _claim_of(row, wishes[row.job_id]) for row in rows}
    return [found[key] for key in keys]


def _free(stylers: Iterable[Styler]) -> list[ColumnElement[bool]]:
    return [WAITS, JobImage.styler.in_([str(styler) for styler in stylers])]


def _claim_of(image: Any, styling: Styling) -> Claim:
    return Claim(
        job_id=image.job_id,
        position=image.position,
        attempt=image.attempt,
        blob_sha256=None,  # its picture is nobody's business here
        model=image.model,
        rank=image.rank,
        styling=styling,
        caption=image.caption,
    )


def release_to_style(session: Session, claim: Claim) -> list[UUID]:
    """Let another style this image. Returns its job, if it was still this claim's."""
    done = session.execute(
        update(JobImage)
        .where(*held(claim))
        .values(lease_until=None)
        .returning(JobImage.job_id)
        .execution_options(synchronize_session=False)
    )
    return list(done.scalars())


def finish_styling(session: Session, outcomes: Iterable[StyleOutcome]) -> dict[UUID, JobState]:
    """Images succeed with their styles, or plain. Late results are dropped.

    Returns the jobs changed, and how.
    """
    ordered = sorted(outcomes, key=lambda o: (o.claim.job_id, o.claim.position))
    current = _current(session, [outcome.claim for outcome in ordered])
    stored = [outcome for outcome in ordered if outcome.claim in current]
    if not stored:
        return {}
    session.connection().execute(_STORE, list(map(_values, stored)))
    return count(
        session,
        {
            job_id: Ended(succeeded=[outcome.claim.position for outcome in group])
            for job_id, group in groupby(stored, lambda o: o.claim.job_id)
        },
    )


def _current(session: Session, claims: Sequence[Claim]) -> set[Claim]:
    attempts = {(claim.job_id, claim.position, claim.attempt): claim for claim in claims}
    rows = session.execute(
        select(JobImage.job_id, JobImage.position, JobImage.attempt)
        .where(
            tuple_(JobImage.job_id, JobImage.position, JobImage.attempt).in_(list(attempts)),
            JobImage.state == ImageState.STYLING,
        )
        .order_by(JobImage.job_id, JobImage.position)
        .with_for_update()
    )
    return {attempts[row.job_id, row.position, row.attempt] for row in rows}


def _values(outcome: StyleOutcome) -> dict[str, object]:
    warning = outcome.warning
    return {
        "of_job": outcome.claim.job_id,
        "at": outcome.claim.position,
        "new_status": StyleStatus.FALLBACK if warning else StyleStatus.STYLED,
        "new_styled": None if warning else json.dumps(outcome.styled, ensure_ascii=False),
        "new_code": warning.code if warning else None,
        "new_detail": warning.detail if warning else None,
    }


_STORE = (
    update(JobImage)
    .where(JobImage.job_id == bindparam("of_job"), JobImage.position == bindparam("at"))
    .values(
        state=ImageState.SUCCEEDED,
        styled=bindparam("new_styled"),
        style_status=bindparam("new_status"),
        style_code=bindparam("new_code"),
        style_detail=bindparam("new_detail"),
        lease_until=None,
        finished_at=now(),
    )
)
