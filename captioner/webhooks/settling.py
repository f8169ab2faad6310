"""What came of an attempt, taken only from the attempt that the row names.

A delivery's row is locked first, then those of its attempts and of its endpoint: so is it when a
job is deleted, which takes its deliveries and their attempts along, and when one is replayed.
"""

from dataclasses import dataclass

from sqlalchemy import update
from sqlalchemy.orm import Session

from captioner.clock import now, now_plus
from captioner.webhooks import endpoints
from captioner.webhooks.claiming import Attempt
from models import DeliveryState, WebhookAttempt, WebhookDelivery


@dataclass(frozen=True)
class Reply:
    """What came of an attempt: the status of the answer, or why there is none."""

    status: int | None
    error: str | None
    duration_ms: float
    retry_after: str = ""


def delivered(session: Session, attempt: Attempt, reply: Reply) -> bool:
    """The receiver took it. Returns whether that was news, and not an attempt long given up."""
    return _settle(
        session, attempt, reply, state=DeliveryState.DELIVERED, delivered_at=now(), lease_until=None
    )


def failed(session: Session, attempt: Attempt, reply: Reply, *, wait_s: float | None) -> bool:
    """The attempt failed: there is another after the wait, or none without one."""
    values: dict[str, object] = {"failures": attempt.failures + 1, "lease_until": None}
    if wait_s is None:
        return _settle(session, attempt, reply, state=DeliveryState.FAILED, **values)
    return _settle(session, attempt, reply, next_at=now_plus(wait_s), published_at=None, **values)


def disabled(session: Session, attempt: Attempt, reply: Reply) -> bool:
    """The receiver wants no more: this ends, and later ones of the caller to it are not sent."""
    was_news = _settle(session, attempt, reply, state=DeliveryState.DISABLED, lease_until=None)
    endpoints.disable(
        session, caller=attempt.caller, url=attempt.url, reason=reply.error or "no reason given"
    )
    return was_news


def _settle(session: Session, attempt: Attempt, reply: Reply, **values: object) -> bool:
    settled = session.execute(
        update(WebhookDelivery)
        .where(
            WebhookDelivery.id == attempt.delivery_id,
            WebhookDelivery.attempts == attempt.number,
            WebhookDelivery.state == DeliveryState.PENDING,
        )
        .values(**values)
        .returning(WebhookDelivery.id)
        .execution_options(synchronize_session=False)
    ).first()
    _log(session, attempt, reply)
    return settled is not None


def _log(session: Session, attempt: Attempt, reply: Reply) -> None:
    session.execute(
        update(WebhookAttempt)
        .where(
            WebhookAttempt.delivery_id == attempt.delivery_id,
            WebhookAttempt.number == attempt.number,
        )
        .values(status=reply.status, error=reply.error, duration_ms=reply.duration_ms)
        .execution_options(synchronize_session=False)
    )
