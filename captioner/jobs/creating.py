"""A job begins."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from captioner.clock import now
from captioner.errors import CaptionerError
from captioner.jobs.counting import Ended, count
from captioner.jobs.ranking import rank
from captioner.work import Order, Picture, Remembered
from models import ImageState, Job, JobImage, JobState


def create(session: Session, wanted: Sequence[tuple[Order, Sequence[Picture]]]) -> list[JobState]:
    """Write jobs and their images: `queued`, but `failed` where a picture was refused, and
    `succeeded` where its caption is known. Returns the jobs' states: final where all of them are.

    Of each job at least one picture must be stored, or be there to fetch. The queued images are
    marked as published: the caller is about to do it, and says so with `dispatch.unpublished` when
    it could not.
    """
    created: datetime = session.scalars(select(now())).one()
    connection, jobs, images, complete = session.connection(), [], [], []
    for order, pictures in wanted:
        done = sum(picture.refusal is not None or picture.known is not None for picture in pictures)
        if all(picture.refusal is not None for picture in pictures):
            raise ValueError("a job needs at least one picture that can be captioned")
        jobs.append(_job(order, pictures, created))
        images += _images(order, pictures, created)
        if done == len(pictures):
            complete.append(order.job_id)
    connection.execute(insert(Job), jobs)
    connection.execute(insert(JobImage), images)
    states = count(session, dict.fromkeys(complete, Ended()))
    return [states.get(order.job_id, JobState.QUEUED) for order, _ in wanted]


def _job(order: Order, pictures: Sequence[Picture], created: datetime) -> dict[str, object]:
    refused = sum(picture.refusal is not None for picture in pictures)
    known = sum(picture.known is not None for picture in pictures)
    return {
        "id": order.job_id,
        "state": JobState.QUEUED,
        "model": order.model,
        "prompt": order.options.prompt,
        "options": replace(order.options, prompt=None).to_json(),
        "image_count": len(pictures),
        "succeeded_count": known,
        "failed_count": refused,
        "created_at": created,
        "caller": order.caller,
        "priority": int(order.priority),
        "deadline_at": _later(created, order.cancel_after_s),
        "stored": order.stored,
        "expected_at": _later(created, order.expected_s),
        "event_seq": refused + known,
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
    if picture.known is not None:
        return row | _captioned(picture.known) | {"finished_at": created}
    return row | {"published_at": created}


EMPTY: dict[str, object] = {
    "state": ImageState.QUEUED,
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
