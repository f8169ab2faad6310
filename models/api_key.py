"""Keys that callers of the API show."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, UtcDateTime


class Scope(StrEnum):
    """What a key allows."""

    SUBMIT = "submit"
    """Make jobs, and change those of its owner."""
    READ = "read"
    """Look at its owner's jobs, and at metrics."""
    ADMIN = "admin"
    """All of it, for the jobs of every owner, and what concerns the service as a whole."""


class ApiKey(Base):
    """A key, of which only a digest is kept: nobody can read it again."""

    __tablename__ = "api_keys"
    __table_args__ = (UniqueConstraint("prefix"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    prefix: Mapped[str] = mapped_column(String(16))
    """The beginning of the key, which is no secret: to find it, and to speak of it."""
    sha256: Mapped[str] = mapped_column(String(64))
    """Of the whole key, in hex."""
    owner: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[str] = mapped_column(String(64))
    """Values of `Scope`, with commas between."""
    note: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """To the hour, so that it is seldom written."""
