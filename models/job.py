"""A job, and the images that it is made of."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, UtcDateTime
from models.states import ImageState, JobState


def one_of(column: str, states: type[JobState] | type[ImageState]) -> str:
    """The SQL condition that holds a state column to its enum."""
    return f"{column} IN ({', '.join(repr(str(state)) for state in states)})"


class Job(Base):
    """What one request asked for. `id` is a UUIDv7, so ids sort by time of creation."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(one_of("state", JobState), name="state_known"),
        CheckConstraint("image_count > 0", name="has_images"),
        CheckConstraint(
            "succeeded_count + failed_count <= image_count", name="counts_within_images"
        ),
        Index("ix_jobs_state_id", "state", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    model: Mapped[str] = mapped_column(String(64))
    prompt: Mapped[str | None] = mapped_column(Text)
    image_count: Mapped[int]
    succeeded_count: Mapped[int] = mapped_column(default=0)
    failed_count: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class JobImage(Base):
    """One image of a job, at its place in the request.

    `attempt` counts claims and fences them: a result is taken only from the attempt that the row
    names. `blob` is empty for an image that was refused before it was stored.
    """

    __tablename__ = "job_images"
    __table_args__ = (
        CheckConstraint(one_of("state", ImageState), name="state_known"),
        CheckConstraint("state <> 'succeeded' OR caption IS NOT NULL", name="success_has_caption"),
        CheckConstraint("state <> 'failed' OR error_code IS NOT NULL", name="failure_has_code"),
        CheckConstraint("state <> 'running' OR lease_until IS NOT NULL", name="running_has_lease"),
        Index("ix_job_images_state_lease_until", "state", "lease_until"),
        Index("ix_job_images_blob_sha256", "blob_sha256"),
    )

    job_id: Mapped[UUID] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    blob_sha256: Mapped[str | None] = mapped_column(ForeignKey("blobs.sha256"))
    file_name: Mapped[str | None] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    caption: Mapped[str | None] = mapped_column(Text)
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_detail: Mapped[str | None] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    not_before: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Handed back because a part was away: not to be taken again until then."""
    worker: Mapped[str | None] = mapped_column(String(128))
    published_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decode_ms: Mapped[float | None]
    wait_ms: Mapped[float | None]
    infer_ms: Mapped[float | None]
    model_revision: Mapped[str | None] = mapped_column(String(128))
    cached: Mapped[bool] = mapped_column(default=False)
