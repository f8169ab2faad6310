"""An attempt is over, and its result is taken, if the attempt is still the current one."""

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from uuid import UUID

from sqlalchemy import String, bindparam, case, select, tuple_, update
from sqlalchemy.orm import Session

from captioner.clock import now
from captioner.errors import Canceled, DeadlinePassed
from captioner.jobs.controlling import stop_queued
from captioner.jobs.counting import Ended, add
from captioner.work import Claim, Outcome
from models import ImageState, JobImage, JobState

STOPPED = (Canceled.code, DeadlinePassed.code)


def finish(session: Session, outcomes: Iterable[Outcome]) -> dict[UUID, JobState]:
    """Store results of current attempts; drop late ones. Returns the jobs changed, and how.

    An image whose job wants styles is `styling` with its caption, and waits for whoever writes
    them, unless its job is canceling.
    """
    ordered = sorted(outcomes, key=lambda o: (o.claim.job_id, o.claim.position))
    current = _current(session, [outcome.claim for outcome in ordered])
    stored = [outcome for outcome in ordered if outcome.claim in current]
    if not stored:
        return {}
    ended = {
        job_id: Ended.of([(outcome.claim.position, _state(outcome)) for outcome in group])
        for job_id, group in groupby(stored, lambda o: o.claim.job_id)
    }
    seconds = {(claim.job_id, claim.position): held_s for claim, held_s in current.items()}
    counted = add(session, ended, seconds=seconds)
    session.connection().execute(
        _STORE,
        [
            _values(outcome, counted.numbers.get((outcome.claim.job_id, outcome.claim.position)))
            for outcome in stored
        ],
    )
    to_style = [o.claim.job_id for o in stored if _state(o) is ImageState.STYLING]
    return counted.told(session) | stop_queued(session, to_style)


def _current(session: Session, claims: Sequence[Claim]) -> dict[Claim, float]:
    """Those of the claims that still hold their image, which is locked now, and since when: in
    seconds.
    """
    attempts = {(claim.job_id, claim.position, claim.attempt): claim for claim in claims}
    rows = session.execute(_CURRENT, {"attempts": list(attempts)})
    return {
        attempts[row.job_id, row.position, row.attempt]: (row.now - row.started_at).total_seconds()
        for row in rows
    }


def _state(outcome: Outcome) -> ImageState:
    if outcome.error is None:
        return ImageState.STYLING if outcome.claim.styling else ImageState.SUCCEEDED
    return ImageState.CANCELED if outcome.error.code in STOPPED else ImageState.FAILED


def _values(outcome: Outcome, number: int | None) -> dict[str, object]:
    error, timings = outcome.error, outcome.timings
    return {
        "of_job": outcome.claim.job_id,
        "at": outcome.claim.position,
        "new_state": _state(outcome),
        "new_styler": outcome.claim.styling.styler if outcome.claim.styling else None,
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
        "new_event_seq": number,
    }


def _listed(tags: tuple[str, ...]) -> str:
    return json.dumps(tags, ensure_ascii=False)


_CURRENT = (
    select(
        JobImage.job_id,
        JobImage.position,
        JobImage.attempt,
        JobImage.started_at,
        now().label("now"),
    )
    .where(
        tuple_(JobImage.job_id, JobImage.position, JobImage.attempt).in_(
            bindparam("attempts", expanding=True)
        ),
        JobImage.state == ImageState.RUNNING,
    )
    .order_by(JobImage.job_id, JobImage.position)
    .with_for_update()
)
_STORED = (
    "state", "styler", "caption", "score", "others", "retried_for", "tags", "flagged", "error_code",
    "error_detail", "model_revision", "decode_ms", "wait_ms", "infer_ms", "batch_size",
    "event_seq",
)  # fmt: skip
_TO_STYLE = bindparam("new_state", type_=String) == ImageState.STYLING.value
_STORE = (
    update(JobImage)
    .where(JobImage.job_id == bindparam("of_job"), JobImage.position == bindparam("at"))
    .values(
        lease_until=None,
        lost=case((_TO_STYLE, 0), else_=JobImage.lost),  # they were of captioning
        published_at=case((_TO_STYLE, now()), else_=JobImage.published_at),
        finished_at=case((_TO_STYLE, None), else_=now()),
        **{name: bindparam(f"new_{name}") for name in _STORED},
    )
)
