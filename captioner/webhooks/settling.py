"""What came of an attempt, taken only from the attempt that the row names."""

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
    _log(session, attempt, reply)
    return _settle(
        session, attempt, state=DeliveryState.DELIVERED, delivered_at=now(), lease_until=None
    )


def failed(session: Session, attempt: Attempt, reply: Reply, *, wait_s: float | None) -> bool:
    """The attempt failed: there is another after the wait, or none without one."""
    _log(session, attempt, reply)
    values: dict[str, object] = {"failures": attempt.failures + 1, "lease_until": None}
    if wait_s is None:
        return _settle(session, attempt, state=DeliveryState.FAILED, **values)
    return _settle(session, attempt, next_at=now_plus(wait_s), published_at=None, **values)


def disabled(session: Session, attempt: Attempt, reply: Reply) -> bool:
    """The receiver wants no more: this ends, and later ones of the caller to it are not sent."""
    _log(session, attempt, reply)
    endpoints.disable(
        session, caller=attempt.caller, url=attempt.url, reason=reply.error or "no reason given"
    )
    return _settle(session, attempt, state=DeliveryState.DISABLED, lease_until=None)


def _settle(session: Session, attempt: Attempt, **values: object) -> bool:
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
    )
    return settled.first() is not None


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
