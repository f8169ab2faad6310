"""What is left of a job that is gone."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, UtcDateTime


class DeletedJob(Base):
    """When a job was deleted, and why: nothing of what it held."""

    __tablename__ = "deleted_jobs"
    __table_args__ = (Index("ix_deleted_jobs_deleted_at", "deleted_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    deleted_at: Mapped[datetime] = mapped_column(UtcDateTime)
    reason: Mapped[str] = mapped_column(String(16))
    """One of `DeletionReason`."""
    owner: Mapped[str | None] = mapped_column(String(64))
    """Whose it was, so that nobody else hears of it."""
