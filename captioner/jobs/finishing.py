"""An attempt is over, and its result is taken, if the attempt is still the current one."""

import json
from collections.abc import Iterable
from itertools import groupby
from uuid import UUID

from sqlalchemy import ColumnElement, update
from sqlalchemy.orm import Session

from captioner.clock import now
from captioner.errors import Canceled, DeadlinePassed
from captioner.jobs.counting import Ended, count
from captioner.work import Claim, Outcome
from models import ImageState, JobImage, JobState

STOPPED = (Canceled.code, DeadlinePassed.code)


def held(claim: Claim) -> list[ColumnElement[bool]]:
    """The condition that the image is still this claim's."""
    return [
        JobImage.job_id == claim.job_id,
        JobImage.position == claim.position,
        JobImage.attempt == claim.attempt,
        JobImage.state == ImageState.RUNNING,
    ]


def finish(session: Session, outcomes: Iterable[Outcome]) -> dict[UUID, JobState]:
    """Store results of current attempts; drop late ones. Returns the jobs changed, and how."""
    ordered = sorted(outcomes, key=lambda o: (o.claim.job_id, o.claim.position))
    stored = [outcome for outcome in ordered if _store(session, outcome)]
    changed = {}
    for job_id, group in groupby(stored, lambda o: o.claim.job_id):
        reached = [(outcome.claim.position, _state(outcome)) for outcome in group]
        changed[job_id] = count(session, job_id, Ended.of(reached))
    return changed


def _state(outcome: Outcome) -> ImageState:
    if outcome.error is None:
        return ImageState.SUCCEEDED
    return ImageState.CANCELED if outcome.error.code in STOPPED else ImageState.FAILED


def _store(session: Session, outcome: Outcome) -> bool:
    error, timings = outcome.error, outcome.timings
    values: dict[str, object] = {
        "state": _state(outcome),
        "caption": None if error else outcome.caption,
        "score": None if error else outcome.score,
        "others": json.dumps(outcome.others) if outcome.others and not error else None,
        "error_code": error.code if error else None,
        "error_detail": error.detail if error else None,
        "model_revision": outcome.model_revision,
        "lease_until": None,
        "finished_at": now(),
        "decode_ms": timings.decode_ms,
        "wait_ms": timings.wait_ms,
        "infer_ms": timings.infer_ms,
        "batch_size": timings.batch_size,
    }
    stored = session.execute(
        update(JobImage)
        .where(*held(outcome.claim))
        .values(**values)
        .returning(JobImage.position)
        .execution_options(synchronize_session=False)
    )
    return stored.first() is not None
