"""An attempt is over, and its result is taken, if the attempt is still the current one."""

import json
import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from captioner.clock import now
from captioner.errors import Canceled, DeadlinePassed
from captioner.jobs import written
from captioner.jobs.controlling import stop_queued
from captioner.jobs.counting import Ended, add
from captioner.jobs.keys import listed, named
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
    written.write(
        session,
        (
            _row(outcome, counted.numbers.get((outcome.claim.job_id, outcome.claim.position)))
            for outcome in stored
        ),
    )
    to_style = [o.claim.job_id for o in stored if _state(o) is ImageState.STYLING]
    return counted.told(session) | stop_queued(session, to_style)


def _current(session: Session, claims: Sequence[Claim]) -> dict[Claim, float]:
    """Those of the claims that still hold their image, which is locked now, and since when: in
    seconds.
    """
    attempts = {(claim.job_id, claim.position, claim.attempt): claim for claim in claims}
    keys = listed((job_id, position) for job_id, position, _ in attempts)
    rows = session.connection().execute(_CURRENT, {"keys": keys})
    running = (row for row in rows if row.state == ImageState.RUNNING)
    found = {(row.job_id, row.position, row.attempt): row for row in running}
    return {
        claim: (found[attempt].now - found[attempt].started_at).total_seconds()
        for attempt, claim in attempts.items()
        if attempt in found
    }


def _state(outcome: Outcome) -> ImageState:
    if outcome.error is None:
        return ImageState.STYLING if outcome.claim.styling else ImageState.SUCCEEDED
    return ImageState.CANCELED if outcome.error.code in STOPPED else ImageState.FAILED


def _row(outcome: Outcome, number: int | None) -> written.Row:
    claim, error, timings = outcome.claim, outcome.error, outcome.timings
    return {
        "job_id": claim.job_id,
        "position": claim.position,
        "state": _state(outcome),
        "styler": claim.styling.styler if claim.styling else None,
        "caption": None if error else outcome.caption,
        "score": None if error else _finite(outcome.score),
        "others": None if error or not outcome.others else _others(outcome.others),
        "retried_for": outcome.retried_for,
        "tags": None if error or outcome.tags is None else _listed(outcome.tags),
        "flagged": None if error else outcome.flagged,
        "error_code": error.code if error else None,
        "error_detail": error.detail if error else None,
        "model_revision": outcome.model_revision,
        "decode_ms": timings.decode_ms,
        "wait_ms": timings.wait_ms,
        "infer_ms": timings.infer_ms,
        "batch_size": timings.batch_size,
        "event_seq": number,
    }


def _finite(score: float | None) -> float | None:
    """JSON has no word for the rest, neither on the way to the database nor to a client."""
    return None if score is None or not math.isfinite(score) else score


def _others(others: Iterable[tuple[str, float | None]]) -> str:
    return json.dumps([(text, _finite(score)) for text, score in others])


def _listed(tags: tuple[str, ...]) -> str:
    return json.dumps(tags, ensure_ascii=False)


_CURRENT = (
    select(
        JobImage.job_id,
        JobImage.position,
        JobImage.attempt,
        JobImage.state,
        JobImage.started_at,
        now().label("now"),
    )
    .where(named())
    .order_by(JobImage.job_id, JobImage.position)
    .with_for_update()
)
