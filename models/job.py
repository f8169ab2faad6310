"""A job, and the images that it is made of."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, text, true
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, UtcDateTime
from models.states import ImageState, JobState


def one_of(column: str, states: type[JobState] | type[ImageState]) -> str:
    """The SQL condition that holds a state column to its enum."""
    return f"{column} IN ({', '.join(repr(str(state)) for state in states)})"


class Job(Base):
    """What one request asked for. `id` is a UUIDv7, so ids sort by time of creation.

    `event_seq` grows with each image that becomes final and with every change of state: it numbers
    the events that a client may have missed. `run` counts the retries that were asked for.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(one_of("state", JobState), name="state_known"),
        CheckConstraint("image_count > 0", name="has_images"),
        CheckConstraint(
            "succeeded_count + failed_count + canceled_count <= image_count",
            name="counts_within_images",
        ),
        Index("ix_jobs_state_id", "state", "id"),
        Index("ix_jobs_state_deadline_at", "state", "deadline_at"),
        Index("ix_jobs_finished_at", "finished_at"),
        Index(
            "ix_jobs_finished_at_unstored",
            "finished_at",
            postgresql_where=text("NOT stored"),
            sqlite_where=text("stored = 0"),
        ),
        Index("ix_jobs_caller_state", "caller", "state"),
        Index(
            "ix_jobs_owner_id",
            "owner",
            "id",
            postgresql_where=text("owner IS NOT NULL"),
            sqlite_where=text("owner IS NOT NULL"),
        ),
        Index(
            "ix_jobs_owner_state_id",
            "owner",
            "state",
            "id",
            postgresql_where=text("owner IS NOT NULL"),
            sqlite_where=text("owner IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    model: Mapped[str] = mapped_column(String(64))
    prompt: Mapped[str | None] = mapped_column(Text)
    options: Mapped[str | None] = mapped_column(Text)
    """How its captions are to be made, besides the prompt: what was asked for, as JSON."""
    image_count: Mapped[int]
    succeeded_count: Mapped[int] = mapped_column(default=0)
    failed_count: Mapped[int] = mapped_column(default=0)
    canceled_count: Mapped[int] = mapped_column(default=0, server_default="0")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    caller: Mapped[str] = mapped_column(String(128), default="", server_default="")
    """Who asked, for shares of the queue and for keys: never shown to others."""
    owner: Mapped[str | None] = mapped_column(String(64))
    """Whose it is: the owner of the API key that it came with. Empty where keys are not asked for.
    """
    priority: Mapped[int] = mapped_column(default=1, server_default="1")
    deadline_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the work is to stop, done or not."""
    cancel_cause: Mapped[str | None] = mapped_column(String(16))
    stored: Mapped[bool] = mapped_column(default=True, server_default=true())
    """Whether it is kept once its result was delivered."""
    expected_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When it was expected to be done, as told at its creation."""
    event_seq: Mapped[int] = mapped_column(default=0, server_default="0")
    run: Mapped[int] = mapped_column(default=1, server_default="1")
    styling: Mapped[str | None] = mapped_column(Text)
    """The styles that were asked for, and how they are to be, as JSON; `None`: none."""
    webhook_url: Mapped[str | None] = mapped_column(Text)
    webhook_events: Mapped[str | None] = mapped_column(String(64))
    """Kinds of webhooks that were asked for, with commas between."""


class JobImage(Base):
    """One image of a job, at its place in the request.

    `attempt` counts claims and fences them: a result is taken only from the attempt that the row
    names. `lost` counts the attempts whose worker was lost. `blob_sha256` is empty for an image
    that was refused, whose picture was deleted, or that comes from `source_url` and is not here
    yet. The image with the least `rank` of a model is worked on first.
    """

    __tablename__ = "job_images"
    __table_args__ = (
        CheckConstraint(one_of("state", ImageState), name="state_known"),
        CheckConstraint("state <> 'succeeded' OR caption IS NOT NULL", name="success_has_caption"),
        CheckConstraint("state <> 'failed' OR error_code IS NOT NULL", name="failure_has_code"),
        CheckConstraint("state <> 'running' OR lease_until IS NOT NULL", name="running_has_lease"),
        Index("ix_job_images_state_lease_until", "state", "lease_until"),
        Index("ix_job_images_blob_sha256", "blob_sha256"),
        Index("ix_job_images_state_model_rank", "state", "model", "rank"),
        Index(
            "ix_job_images_finished_at_with_picture",
            "finished_at",
            postgresql_where=text("blob_sha256 IS NOT NULL"),
            sqlite_where=text("blob_sha256 IS NOT NULL"),
        ),
        Index(
            "ix_job_images_to_fetch",
            "model",
            "state",
            "rank",
            postgresql_where=text("blob_sha256 IS NULL AND source_url IS NOT NULL"),
            sqlite_where=text("blob_sha256 IS NULL AND source_url IS NOT NULL"),
        ),
        Index(
            "ix_job_images_to_style",
            "styler",
            "rank",
            postgresql_where=text("state = 'styling'"),
            sqlite_where=text("state = 'styling'"),
        ),
    )

    job_id: Mapped[UUID] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    blob_sha256: Mapped[str | None] = mapped_column(ForeignKey("blobs.sha256"))
    file_name: Mapped[str | None] = mapped_column(Text)
    source_url: Mapped[str | None] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    model: Mapped[str] = mapped_column(String(64), default="", server_default="")
    """The job's, here again so that the next images of a model are found by one index."""
    rank: Mapped[float] = mapped_column(default=0.0, server_default="0")
    """Seconds on the database's clock: creation, plus the work ahead in its own job."""
    caption: Mapped[str | None] = mapped_column(Text)
    score: Mapped[float | None]
    others: Mapped[str | None] = mapped_column(Text)
    """Further captions, when several were asked for: a JSON list of `[text, score]`."""
    retried_for: Mapped[str | None] = mapped_column(String(16))
    """What was wrong with the first caption, when it was asked for once more."""
    tags: Mapped[str | None] = mapped_column(Text)
    """The caption's words of content, where they were wanted: a JSON list."""
    flagged: Mapped[bool | None]
    """The answer to a question of yes or no, where one was asked and answered."""
    styler: Mapped[str | None] = mapped_column(String(16))
    """Who writes its styles, where some were asked for and it has its plain caption."""
    styled: Mapped[str | None] = mapped_column(Text)
    """Its styled captions: a JSON list of `[style, [caption, ...]]`."""
    style_status: Mapped[str | None] = mapped_column(String(16))
    """Once the styler is through: whether there are styles, or the plain caption alone."""
    style_code: Mapped[str | None] = mapped_column(String(64))
    """Why there are no styles."""
    style_detail: Mapped[str | None] = mapped_column(Text)
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_detail: Mapped[str | None] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(default=0)
    lost: Mapped[int] = mapped_column(default=0, server_default="0")
    fetch_failures: Mapped[int] = mapped_column(default=0, server_default="0")
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    not_before: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Handed back because a part was away: not to be taken again until then."""
    waiting_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When it was handed back for the first time because a part was away."""
    worker: Mapped[str | None] = mapped_column(String(128))
    published_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    event_seq: Mapped[int | None]
    """Its number among the events of its job, once it is final."""
    decode_ms: Mapped[float | None]
    wait_ms: Mapped[float | None]
    infer_ms: Mapped[float | None]
    batch_size: Mapped[int | None]
    """How many images shared the `infer_ms`."""
    model_revision: Mapped[str | None] = mapped_column(String(128))
    cached: Mapped[bool] = mapped_column(default=False)
