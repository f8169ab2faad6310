"""Messages to receivers outside that a job has started or ended, and the log of their attempts."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, UtcDateTime


class WebhookKind(StrEnum):
    """What a webhook tells of. The value is the `type` of its body."""

    JOB_STARTED = "job.started"
    """A worker took the first of its images."""
    JOB_FINISHED = "job.finished"
    """The job is final: with captions, without, or stopped."""


class DeliveryState(StrEnum):
    """Where a delivery stands. Only `pending` ones are sent."""

    PENDING = "pending"
    """To be sent at `next_at`, or being sent while its lease lasts."""
    DELIVERED = "delivered"
    """The receiver answered with a 2xx status."""
    FAILED = "failed"
    """The last attempt of the schedule failed."""
    DISABLED = "disabled"
    """The receiver said 410, to this delivery or to one before: it wants no more."""


class WebhookDelivery(Base):
    """One message to one receiver. `id` is the `webhook-id`: it is the same on every attempt.

    `attempts` counts claims and fences them, as with images. `failures` counts the attempts that
    are known to have failed since the schedule began: an attempt whose worker was lost is none.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        CheckConstraint(
            f"state IN ({', '.join(repr(str(state)) for state in DeliveryState)})",
            name="state_known",
        ),
        UniqueConstraint("job_id", "kind", "run"),
        Index("ix_webhook_deliveries_state_next_at", "state", "next_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(32))
    run: Mapped[int]
    """Which run of the job it tells of: a retry begins another."""
    url: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    """As it was when the job changed. Signed anew for each attempt, and sent as it stands here."""
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime] = mapped_column(UtcDateTime)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    published_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    delivered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class WebhookAttempt(Base):
    """One POST of a delivery. Without status and error: under way, or its worker was lost."""

    __tablename__ = "webhook_attempts"

    delivery_id: Mapped[UUID] = mapped_column(
        ForeignKey("webhook_deliveries.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    status: Mapped[int | None]
    """The HTTP status of the answer, if there was one."""
    error: Mapped[str | None] = mapped_column(Text)
    duration_ms: Mapped[float | None]


class WebhookEndpoint(Base):
    """A receiver that said 410, so that nothing more of that caller is sent there."""

    __tablename__ = "webhook_endpoints"

    caller: Mapped[str] = mapped_column(String(128), primary_key=True)
    url_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    """A URL may be too long for an index."""
    url: Mapped[str] = mapped_column(Text)
    disabled_at: Mapped[datetime] = mapped_column(UtcDateTime)
    reason: Mapped[str] = mapped_column(Text)
