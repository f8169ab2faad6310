"""What a webhook says of its job."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from captioner import errors
from captioner.clock import written
from captioner.errors import CaptionerError
from captioner.options import Options
from models import ImageState, Job, JobImage, WebhookKind

TITLES = {
    member.code: member.title
    for member in vars(errors).values()
    if isinstance(member, type) and issubclass(member, CaptionerError)
}


def body_of(session: Session, job_id: UUID, kind: WebhookKind) -> str:
    """The body as compact JSON, of the job as this transaction has it."""
    job = session.execute(select(*Job.__table__.columns).where(Job.id == job_id)).one()
    images = session.execute(
        select(
            JobImage.position,
            JobImage.state,
            JobImage.caption,
            JobImage.error_code,
            JobImage.error_detail,
            JobImage.tags,
            JobImage.flagged,
            JobImage.styled,
            JobImage.style_status,
            JobImage.style_code,
            JobImage.style_detail,
        )
        .where(JobImage.job_id == job_id)
        .order_by(JobImage.position)
    ).all()
    started = kind is WebhookKind.JOB_STARTED
    said = {
        "type": kind.value,
        "timestamp": _text(job.started_at if started else job.finished_at),
        "data": _data(job, images),
    }
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


def _data(job: Any, images: Any) -> dict[str, object]:
    return {
        "id": str(job.id),
        "run": job.run,
        "status": job.state,
        "model": job.model,
        "result": [image.caption for image in images],
        **_beyond(job, images),
        "errors": [_fault(image) for image in images if image.error_code is not None],
        "counts": {
            "total": job.image_count,
            "succeeded": job.succeeded_count,
            "failed": job.failed_count,
            "canceled": job.canceled_count,
            "unfinished": sum(not ImageState(image.state).final for image in images),
        },
        "created_at": _text(job.created_at),
        "started_at": _text(job.started_at),
        "finished_at": _text(job.finished_at),
        "urls": {"self": f"/captionImage/{job.id}"},
    }


def _beyond(job: Any, images: Any) -> dict[str, object]:
    """Tags, flags and styles, each where it was asked for."""
    given = Options.from_json(job.options).given
    said: dict[str, object] = {}
    if "tags" in given:
        said["tags"] = [None if one.tags is None else json.loads(one.tags) for one in images]
    if "flag" in given:
        said["flagged"] = [one.flagged for one in images]
    if job.styling is not None:
        said["styled"] = [_styles(one) for one in images]
    return said


def _styles(image: Any) -> dict[str, object]:
    stored = json.loads(image.styled or "null")
    warning = {
        "code": image.style_code,
        "title": TITLES.get(image.style_code, image.style_code),
        "detail": image.style_detail,
    }
    return {
        "index": image.position,
        "styled": stored and [{"style": style, "captions": them} for style, them in stored],
        "style_status": image.style_status,
        "style_warning": warning if image.style_code else None,
    }


def _fault(image: Any) -> dict[str, object]:
    return {
        "index": image.position,
        "code": image.error_code,
        "title": TITLES.get(image.error_code, image.error_code),
        "detail": image.error_detail,
    }


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else written(instant)
