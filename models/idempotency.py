"""Which request a key was used for."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, UtcDateTime


class IdempotencyKey(Base):
    """The first request of a caller with this key, and the job that came of it."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_created_at", "created_at"),)

    caller: Mapped[str] = mapped_column(String(128), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    """Of what was asked for, pictures included: sha-256 in hex."""
    job_id: Mapped[UUID]
    """No foreign key: a job may be deleted before its key is forgotten."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
