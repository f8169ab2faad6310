"""A job begins."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import insert
from sqlalchemy.orm import Session

from captioner import results
from captioner.clock import at
from captioner.errors import CaptionerError
from captioner.jobs.ranking import rank
from captioner.webhooks import outbox
from captioner.work import Order, Picture, Remembered
from models import ImageState, Job, JobImage, JobState, WebhookKind


def create(session: Session, wanted: Sequence[tuple[Order, Sequence[Picture]]]) -> list[JobState]:
    """Write jobs and their images: `queued`, but `failed` where a picture was refused, and
    `succeeded` where its caption is known, or `styling` where styles are wanted too. Returns the
    jobs' states: final where all of them are.

    Of each job at least one picture must be stored, or be there to fetch. The queued images are
    marked as published: the caller is about to do it, and says so with `dispatch.unpublished` when
    it could not.
    """
    connection, jobs, images = session.connection(), [], []
    for order, pictures in wanted:
        created = order.created or at(session)
        if all(picture.refusal is not None for picture in pictures):
            raise ValueError("a job needs at least one picture that can be captioned")
        jobs.append(_job(order, pictures, created))
        images += _images(order, pictures, created)
    connection.execute(_JOBS, jobs)
    connection.execute(_IMAGES, images)
    for order, pictures in wanted:
        results.note(session, ImageState.FAILED, _refusals(pictures))
        results.note(session, ImageState.SUCCEEDED, _done(order, pictures))
    states = [_state(order, pictures) for order, pictures in wanted]
    for (order, _), state in zip(wanted, states, strict=True):
        if state.final and order.webhook is not None:
            outbox.note(session, order.job_id, WebhookKind.JOB_FINISHED)
    return states


_JOBS, _IMAGES = insert(Job), insert(JobImage)


def _state(order: Order, pictures: Sequence[Picture]) -> JobState:
    """Final where all of its images are, as `counting` would have it; one of them has a caption."""
    refused = _refusals(pictures)
    if refused + _done(order, pictures) < len(pictures):
        return JobState.QUEUED
    return JobState.PARTIAL if refused else JobState.SUCCEEDED


def _refusals(pictures: Sequence[Picture]) -> int:
    return sum(picture.refusal is not None for picture in pictures)


def _done(order: Order, pictures: Sequence[Picture]) -> int:
    """How many have all that they are to have."""
    return 0 if order.styling else sum(picture.known is not None for picture in pictures)


def _job(order: Order, pictures: Sequence[Picture], created: datetime) -> dict[str, object]:
    refused, known = _refusals(pictures), _done(order, pictures)
    state = _state(order, pictures)
    return {
        "id": order.job_id,
        "state": state,
        "model": order.model,
        "prompt": order.options.prompt,
        "options": replace(order.options, prompt=None).to_json(),
        "image_count": len(pictures),
        "succeeded_count": known,
        "failed_count": refused,
        "created_at": created,
        "finished_at": created if state.final else None,
        "caller": order.caller,
        "owner": order.owner,
        "priority": int(order.priority),
        "deadline_at": _later(created, order.cancel_after_s),
        "stored": order.stored,
        "expected_at": _later(created, order.expected_s),
        "event_seq": refused + known + state.final,  # the end is an event, too
        "styling": order.styling.to_json() if order.styling else None,
        "webhook_url": order.webhook.url if order.webhook else None,
        "webhook_events": ",".join(order.webhook.events) if order.webhook else None,
    }


def _images(
    order: Order, pictures: Sequence[Picture], created: datetime
) -> list[dict[str, object]]:
    rows = [_row(order, position, picture, created) for position, picture in enumerate(pictures)]
    for number, row in enumerate((row for row in rows if row["finished_at"]), start=1):
        row["event_seq"] = number
    return rows


def _later(instant: datetime, seconds: float | None) -> datetime | None:
    return None if seconds is None else instant + timedelta(seconds=seconds)


def _row(order: Order, position: int, picture: Picture, created: datetime) -> dict[str, object]:
    ranked = rank(position, created=created, priority=order.priority, pace_s=order.pace_s)
    row: dict[str, object] = {
        "job_id": order.job_id,
        "position": position,
        "file_name": picture.file_name,
        "source_url": picture.source_url,
        "blob_sha256": picture.blob_sha256,
        "model": order.model,
        "rank": ranked,
        **EMPTY,
    }
    if picture.refusal is not None:
        return row | _refused(picture.refusal) | {"finished_at": created}
    if picture.known is not None and order.styling is not None:
        to_style = {"state": ImageState.STYLING, "styler": order.styling.styler}
        return row | _captioned(picture.known) | to_style | {"published_at": created}
    if picture.known is not None:
        return row | _captioned(picture.known) | {"finished_at": created}
    return row | {"published_at": created}


EMPTY: dict[str, object] = {
    "state": ImageState.QUEUED,
    "styler": None,
    "published_at": None,
    "finished_at": None,
    "event_seq": None,
    "error_code": None,
    "error_detail": None,
    "caption": None,
    "score": None,
    "others": None,
    "retried_for": None,
    "tags": None,
    "flagged": None,
    "model_revision": None,
    "cached": False,
}
"""Of an image that is neither published nor final. All rows name the same columns."""


def _refused(refusal: CaptionerError) -> dict[str, object]:
    return {
        "state": ImageState.FAILED,
        "error_code": refusal.code,
        "error_detail": refusal.detail,
    }


def _captioned(known: Remembered) -> dict[str, object]:
    return {
        "state": ImageState.SUCCEEDED,
        "caption": known.caption,
        "score": known.score,
        "others": json.dumps(known.others) if known.others else None,
        "retried_for": known.retried_for,
        "tags": None if known.tags is None else json.dumps(known.tags, ensure_ascii=False),
        "flagged": known.flagged,
        "model_revision": known.model_revision,
        "cached": True,
    }
