"""The log of deliveries, for people. Nothing here changes a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import WebhookAttempt, WebhookDelivery


@dataclass(frozen=True)
class Logged:
    """A delivery with its attempts in order."""

    delivery: WebhookDelivery
    attempts: Sequence[WebhookAttempt]


def of_job(session: Session, job_id: UUID) -> list[Logged]:
    """Every delivery of a job, oldest first."""
    found = session.scalars(
        select(WebhookDelivery)
        .where(WebhookDelivery.job_id == job_id)
        .order_by(WebhookDelivery.created_at, WebhookDelivery.id)
    ).all()
    attempts = session.scalars(
        select(WebhookAttempt)
        .where(WebhookAttempt.delivery_id.in_([delivery.id for delivery in found]))
        .order_by(WebhookAttempt.number)
    ).all()
    return [
        Logged(delivery, [each for each in attempts if each.delivery_id == delivery.id])
        for delivery in found
    ]
