"""An attempt is over, and its result is taken, if the attempt is still the current one."""

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from uuid import UUID

from sqlalchemy import bindparam, select, tuple_, update
from sqlalchemy.orm import Session

from captioner.clock import now
from captioner.errors import Canceled, DeadlinePassed
from captioner.jobs.counting import Ended, count
from captioner.work import Claim, Outcome
from models import ImageState, JobImage, JobState

STOPPED = (Canceled.code, DeadlinePassed.code)


def finish(session: Session, outcomes: Iterable[Outcome]) -> dict[UUID, JobState]:
    """Store results of current attempts; drop late ones. Returns the jobs changed, and how."""
    ordered = sorted(outcomes, key=lambda o: (o.claim.job_id, o.claim.position))
    current = _current(session, [outcome.claim for outcome in ordered])
    stored = [outcome for outcome in ordered if outcome.claim in current]
    if not stored:
        return {}
    session.connection().execute(_STORE, list(map(_values, stored)))
    return count(
        session,
        {
            job_id: Ended.of([(outcome.claim.position, _state(outcome)) for outcome in group])
            for job_id, group in groupby(stored, lambda o: o.claim.job_id)
        },
    )


def _current(session: Session, claims: Sequence[Claim]) -> set[Claim]:
    """Those of the claims that still hold their image, which is locked now."""
    attempts = {(claim.job_id, claim.position, claim.attempt): claim for claim in claims}
    rows = session.execute(
        select(JobImage.job_id, JobImage.position, JobImage.attempt)
        .where(
            tuple_(JobImage.job_id, JobImage.position, JobImage.attempt).in_(list(attempts)),
            JobImage.state == ImageState.RUNNING,
        )
        .order_by(JobImage.job_id, JobImage.position)
        .with_for_update()
    )
    return {attempts[row.job_id, row.position, row.attempt] for row in rows}


def _state(outcome: Outcome) -> ImageState:
    if outcome.error is None:
        return ImageState.SUCCEEDED
    return ImageState.CANCELED if outcome.error.code in STOPPED else ImageState.FAILED


def _values(outcome: Outcome) -> dict[str, object]:
    error, timings = outcome.error, outcome.timings
    return {
        "of_job": outcome.claim.job_id,
        "at": outcome.claim.position,
        "new_state": _state(outcome),
        "new_caption": None if error else outcome.caption,
        "new_score": None if error else outcome.score,
        "new_others": json.dumps(outcome.others) if outcome.others and not error else None,
        "new_retried_for": outcome.retried_for,
        "new_tags": None if error or outcome.tags is None else _listed(outcome.tags),
        "new_flagged": None if error else outcome.flagged,
        "new_error_code": error.code if error else None,
        "new_error_detail": error.detail if error else None,
        "new_model_revision": outcome.model_revision,
        "new_decode_ms": timings.decode_ms,
        "new_wait_ms": timings.wait_ms,
        "new_infer_ms": timings.infer_ms,
        "new_batch_size": timings.batch_size,
    }


def _listed(tags: tuple[str, ...]) -> str:
    return json.dumps(tags, ensure_ascii=False)


_STORED = (
    "state", "caption", "score", "others", "retried_for", "tags", "flagged", "error_code",
    "error_detail", "model_revision", "decode_ms", "wait_ms", "infer_ms", "batch_size",
)  # fmt: skip
_STORE = (
    update(JobImage)
    .where(JobImage.job_id == bindparam("of_job"), JobImage.position == bindparam("at"))
    .values(
        lease_until=None,
        finished_at=now(),
        **{name: bindparam(f"new_{name}") for name in _STORED},
    )
)
