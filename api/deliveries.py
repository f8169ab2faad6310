"""The shapes of webhooks: their log, and what a receiver gets."""

from datetime import datetime
from typing import Annotated, Self
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import BaseModel, Field

from api.image_view import IndexedFault
from api.schemas import Counts, FlagsOfEach, StylesOfEach, TagsOfEach, Urls
from captioner.webhooks.log import Logged
from models import DeliveryState, JobState, WebhookKind


class AttemptView(BaseModel):
    """One POST to a receiver. Neither status nor error: under way, or its worker was lost."""

    number: int
    at: datetime
    status: int | None
    error: str | None
    duration_ms: float | None


class DeliveryView(BaseModel):
    """One webhook; `id` is the `webhook-id` that its receiver sees."""

    id: UUID
    type: WebhookKind
    run: int
    url: Annotated[str, Field(description="Scheme and host: the rest may hold a secret.")]
    status: DeliveryState
    created_at: datetime
    next_at: Annotated[datetime | None, Field(description="When it is sent next, while pending.")]
    delivered_at: datetime | None
    attempts: list[AttemptView]

    @classmethod
    def of(cls, logged: Logged) -> Self:
        """The view of a delivery with its attempts."""
        row = logged.delivery
        pending = row.state == DeliveryState.PENDING
        return cls(
            id=row.id,
            type=WebhookKind(row.kind),
            run=row.run,
            url=_shown(row.url),
            status=DeliveryState(row.state),
            created_at=row.created_at,
            next_at=row.next_at if pending else None,
            delivered_at=row.delivered_at,
            attempts=[
                AttemptView.model_validate(attempt, from_attributes=True)
                for attempt in logged.attempts
            ],
        )


class WebhookJob(BaseModel):
    """The job as it was when it changed. `run` counts the retries, from 1."""

    id: UUID
    run: int
    status: JobState
    model: str
    result: list[str | None]
    tags: TagsOfEach = None
    flagged: FlagsOfEach = None
    styled: StylesOfEach = None
    errors: list[IndexedFault]
    counts: Counts
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    urls: Urls


class WebhookBody(BaseModel):
    """What a receiver gets: the body of a webhook."""

    type: WebhookKind
    timestamp: datetime
    data: WebhookJob


def _shown(url: str) -> str:
    """Where it goes, without the path and the query, which may hold a receiver's secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}"
