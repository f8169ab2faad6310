"""Taking a delivery for one attempt."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session

from captioner.clock import now, now_plus
from captioner.webhooks import endpoints
from models import DeliveryState, Job, WebhookAttempt, WebhookDelivery, WebhookKind


@dataclass(frozen=True)
class Attempt:
    """The right to send one delivery once, until the lease ends."""

    delivery_id: UUID
    job_id: UUID
    kind: WebhookKind
    caller: str
    url: str
    body: str
    number: int
    failures: int
    """Attempts before this one that are known to have failed."""
    at: datetime


def claim(session: Session, delivery_id: UUID, *, lease_s: float) -> Attempt | None:
    """Take the delivery for one attempt, if it is due and nobody holds it.

    One to a receiver that wants no more becomes `disabled` instead.
    """
    found = session.execute(
        select(WebhookDelivery.url, Job.caller)
        .join(Job, Job.id == WebhookDelivery.job_id)
        .where(WebhookDelivery.id == delivery_id, *due())
    ).first()
    if found is None:
        return None
    if endpoints.is_disabled(session, caller=found.caller, url=found.url):
        _change(session, delivery_id, state=DeliveryState.DISABLED, lease_until=None)
        return None
    return _taken(session, delivery_id, caller=found.caller, lease_s=lease_s)


def due() -> list[ColumnElement[bool]]:
    """The condition that a delivery is to be sent now, and that nobody is at it."""
    return [
        WebhookDelivery.state == DeliveryState.PENDING,
        WebhookDelivery.next_at <= now(),
        or_(WebhookDelivery.lease_until.is_(None), WebhookDelivery.lease_until < now()),
    ]


def _taken(session: Session, delivery_id: UUID, *, caller: str, lease_s: float) -> Attempt | None:
    row = _change(
        session,
        delivery_id,
        attempts=WebhookDelivery.attempts + 1,
        lease_until=now_plus(lease_s),
    )
    if row is None:
        return None
    at: datetime = session.scalars(select(now())).one()
    session.add(WebhookAttempt(delivery_id=delivery_id, number=row.attempts, at=at))
    return Attempt(
        delivery_id=row.id,
        job_id=row.job_id,
        kind=WebhookKind(row.kind),
        caller=caller,
        url=row.url,
        body=row.body,
        number=row.attempts,
        failures=row.failures,
        at=at,
    )


def _change(session: Session, delivery_id: UUID, **values: object) -> Any:
    return session.execute(
        update(WebhookDelivery)
        .where(WebhookDelivery.id == delivery_id, *due())
        .values(**values)
        .returning(*WebhookDelivery.__table__.columns)
        .execution_options(synchronize_session=False)
    ).first()
