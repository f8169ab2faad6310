"""What the file of a picture said of itself, for images of the image pipeline."""

from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class ImageDetails(Base):
    """That a job is an image of the pipeline (`/api/images`), and its file's header.

    It stays when the picture is removed, and goes with the job. Where the picture was taken is not
    here: that is read from the picture, by whoever asks.
    """

    __tablename__ = "image_details"
    __table_args__ = (Index("ix_image_details_owner_job_id", "owner", "job_id"),)

    job_id: Mapped[UUID] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True
    )
    owner: Mapped[str | None] = mapped_column(String(64))
    """The job's, here again so that an owner's images are listed by one index."""
    format: Mapped[str] = mapped_column(String(8))
    mode: Mapped[str] = mapped_column(String(16))
    bytes: Mapped[int] = mapped_column(BigInteger)
    width: Mapped[int]
    """Pixels, as stored in the file: before an EXIF orientation turns it."""
    height: Mapped[int]
    camera: Mapped[str | None] = mapped_column(String(128))
    taken_at: Mapped[str | None] = mapped_column(String(32))
    """By the camera's clock: ISO 8601, mostly without a zone."""
    orientation: Mapped[int | None]
    """EXIF's number for how to turn it, 1 to 8."""
