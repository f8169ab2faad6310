"""Which deliveries need a message, and which are to be sent once more."""

from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from captioner.clock import now, now_plus
from captioner.webhooks import endpoints
from captioner.webhooks.claiming import due
from models import DeliveryState, Job, WebhookDelivery

STALE_S = 30.0
"""Age at which a message counts as lost. A second one does no harm."""


def any_due(session: Session) -> bool:
    """Whether `take_due` would find something."""
    found = session.execute(select(WebhookDelivery.id).where(*_without_message()).limit(1))
    return found.first() is not None


def take_due(session: Session, *, limit: int) -> list[UUID]:
    """Mark the deliveries that are due as published, and return them for sending."""
    taken = session.scalars(
        select(WebhookDelivery.id)
        .where(*_without_message())
        .order_by(WebhookDelivery.next_at, WebhookDelivery.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    session.execute(
        update(WebhookDelivery)
        .where(WebhookDelivery.id.in_(taken))
        .values(published_at=now())
        .execution_options(synchronize_session=False)
    )
    return list(taken)


def _without_message() -> list[ColumnElement[bool]]:
    never = WebhookDelivery.published_at.is_(None)
    lost = WebhookDelivery.published_at < now_plus(-STALE_S)
    # Its worker was lost. Once for each lease: then it counts as any other that is published.
    given_up = WebhookDelivery.published_at < WebhookDelivery.lease_until
    return [*due(), or_(never, lost, given_up)]


def unpublished(session: Session, delivery_ids: list[UUID]) -> None:
    """Note that no message carries these: one is sent later."""
    session.execute(
        update(WebhookDelivery)
        .where(WebhookDelivery.id.in_(delivery_ids), WebhookDelivery.state == DeliveryState.PENDING)
        .values(published_at=None)
        .execution_options(synchronize_session=False)
    )


def replay(session: Session, job_id: UUID, delivery_id: UUID) -> bool:
    """Let the delivery be sent again now, with a new schedule; its receiver is asked again too.

    One that is being sent at this moment is left to that. Returns whether there is such a delivery.
    """
    row = session.execute(
        select(WebhookDelivery.url, Job.caller)
        .join(Job, Job.id == WebhookDelivery.job_id)
        .where(WebhookDelivery.id == delivery_id, WebhookDelivery.job_id == job_id)
        .with_for_update(of=WebhookDelivery)
    ).first()
    if row is None:
        return False
    endpoints.enable(session, caller=row.caller, url=row.url)
    being_sent = and_(
        WebhookDelivery.state == DeliveryState.PENDING, WebhookDelivery.lease_until >= now()
    )
    session.execute(
        update(WebhookDelivery)
        .where(WebhookDelivery.id == delivery_id, ~being_sent)
        .values(
            state=DeliveryState.PENDING,
            failures=0,
            next_at=now(),
            lease_until=None,
            published_at=None,
            delivered_at=None,
        )
        .execution_options(synchronize_session=False)
    )
    return True
