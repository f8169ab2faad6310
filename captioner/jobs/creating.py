"""A job begins."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from captioner.clock import now
from captioner.errors import CaptionerError
from captioner.jobs.counting import Ended, count
from captioner.jobs.ranking import rank
from captioner.work import Order, Picture, Remembered
from models import ImageState, Job, JobImage, JobState


def create(session: Session, order: Order, *, pictures: Sequence[Picture]) -> JobState:
    """Write a job and its images: `queued`, but `failed` where a picture was refused, and
    `succeeded` where its caption is known. Returns the job's state: final if all of them are.

    At least one picture must be stored, or be there to fetch. The queued images are marked as
    published: the caller is about to do it, and says so with `dispatch.unpublished` when it could
    not.
    """
    refused = sum(picture.refusal is not None for picture in pictures)
    known = sum(picture.known is not None for picture in pictures)
    if refused == len(pictures):
        raise ValueError("a job needs at least one picture that can be captioned")
    created: datetime = session.scalars(select(now())).one()
    session.add(
        Job(
            id=order.job_id,
            state=JobState.QUEUED,
            model=order.model,
            prompt=order.options.prompt,
            options=replace(order.options, prompt=None).to_json(),
            image_count=len(pictures),
            succeeded_count=known,
            failed_count=refused,
            created_at=created,
            caller=order.caller,
            priority=int(order.priority),
            deadline_at=_later(created, order.cancel_after_s),
            stored=order.stored,
            expected_at=_later(created, order.expected_s),
            event_seq=refused + known,
            webhook_url=order.webhook.url if order.webhook else None,
            webhook_events=",".join(order.webhook.events) if order.webhook else None,
        )
    )
    session.flush()
    rows = [_row(order, position, picture, created) for position, picture in enumerate(pictures)]
    for number, row in enumerate((row for row in rows if row.finished_at), start=1):
        row.event_seq = number
    session.add_all(rows)
    if refused + known < len(pictures):
        return JobState.QUEUED
    session.flush()
    return count(session, {order.job_id: Ended()})[order.job_id]


def _later(instant: datetime, seconds: float | None) -> datetime | None:
    return None if seconds is None else instant + timedelta(seconds=seconds)


def _row(order: Order, position: int, picture: Picture, created: datetime) -> JobImage:
    row = JobImage(
        job_id=order.job_id,
        position=position,
        file_name=picture.file_name,
        source_url=picture.source_url,
        blob_sha256=picture.blob_sha256,
        model=order.model,
        rank=rank(position, created=created, priority=order.priority, pace_s=order.pace_s),
    )
    if picture.refusal is not None:
        _refuse(row, picture.refusal, created)
    elif picture.known is not None:
        _caption(row, picture.known, created)
    else:
        row.state = ImageState.QUEUED
        row.published_at = created
    return row


def _refuse(row: JobImage, refusal: CaptionerError, at: datetime) -> None:
    row.state = ImageState.FAILED
    row.error_code = refusal.code
    row.error_detail = refusal.detail
    row.finished_at = at


def _caption(row: JobImage, known: Remembered, at: datetime) -> None:
    row.state = ImageState.SUCCEEDED
    row.caption = known.caption
    row.score = known.score
    row.others = json.dumps(known.others) if known.others else None
    row.model_revision = known.model_revision
    row.cached = True
    row.finished_at = at
