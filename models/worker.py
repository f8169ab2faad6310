"""A worker process that has said it is there."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Index, String, false
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, UtcDateTime

SERVING = ("ready", "on demand")
"""States of a model in which a worker can be asked for captions."""


class Worker(Base):
    """One life of one worker process. A row whose heartbeat is old belongs to a dead process."""

    __tablename__ = "workers"
    __table_args__ = (Index("ix_workers_heartbeat_at", "heartbeat_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(128))
    host: Mapped[str] = mapped_column(String(255), default="", server_default="")
    pid: Mapped[int] = mapped_column(default=0, server_default="0")
    device: Mapped[str] = mapped_column(String(64))
    models: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Model name to `{"state": …, "detail": …, "version": …}`: "ready", "on demand", "loading",
    "failed" or "not loaded", and two that are text or null. Captions of one version are equal."""
    draining: Mapped[bool] = mapped_column(default=False, server_default=false())
    """It takes no new images, and ends once those that it holds are through."""
    held: Mapped[int] = mapped_column(default=0, server_default="0")
    """Images that it works on."""
    pace: Mapped[dict[str, float]] = mapped_column(JSON, default=dict, server_default="{}")
    """Model name to measured seconds per image, of those that it worked on lately."""
    stylers: Mapped[dict[str, str] | None] = mapped_column(JSON)
    """Styler to how its breaker stands: "closed", "open" or "trying"."""
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    heartbeat_at: Mapped[datetime] = mapped_column(UtcDateTime)
