"""The pixels we were given, known by their hash."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, UtcDateTime


class Blob(Base):
    """One distinct picture file. The bytes are in the blob store under `sha256`."""

    __tablename__ = "blobs"
    __table_args__ = (
        CheckConstraint("length(sha256) = 64", name="sha256_is_hex"),
        CheckConstraint("bytes > 0", name="bytes_positive"),
        CheckConstraint("width > 0 AND height > 0", name="size_positive"),
    )

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    media_type: Mapped[str] = mapped_column(String(32))
    bytes: Mapped[int] = mapped_column(BigInteger)
    width: Mapped[int]
    """Pixels, as stored in the file: before an EXIF orientation turns it."""
    height: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
