"""The shapes of what a stream tells of a job, besides its images."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, Field

from api.schemas import Counts, Urls
from api.style_view import StyledView
from captioner.wakeups import Whisper
from models import Job, JobImage, JobState


class Advance(BaseModel):
    """How far a job is."""

    id: UUID
    status: JobState
    counts: Counts

    @classmethod
    def of(cls, job: Job) -> Self:
        """The view of a row."""
        return cls(id=job.id, status=JobState(job.state), counts=Counts.of(job))


class PartialStyles(BaseModel):
    """Styled captions as they are being written: the last of them may be cut short. None are there
    at first. Some events may be left out; the image's own has all captions.
    """

    id: UUID
    position: int
    caption: Annotated[str | None, Field(description="The plain caption.")]
    styled: list[StyledView]

    @classmethod
    def of(cls, whisper: Whisper) -> Self:
        """The view of what was overheard."""
        styled = [StyledView(style=style, captions=list(them)) for style, them in whisper.styled]
        return cls(
            id=whisper.job_id,
            position=whisper.position,
            caption=whisper.caption or None,
            styled=styled,
        )

    @classmethod
    def begun(cls, image: JobImage) -> Self:
        """The view of an image that has its plain caption alone."""
        return cls(id=image.job_id, position=image.position, caption=image.caption, styled=[])


class JobEnd(BaseModel):
    """The job is done, or was deleted: then it has no state and no counts."""

    id: UUID
    status: JobState | None
    counts: Counts | None
    urls: Urls

    @classmethod
    def of(cls, job: Job) -> Self:
        """The view of a row."""
        return cls(
            id=job.id, status=JobState(job.state), counts=Counts.of(job), urls=Urls.of(job.id)
        )

    @classmethod
    def gone(cls, job_id: UUID) -> Self:
        """The view of what is not there any more."""
        return cls(id=job_id, status=None, counts=None, urls=Urls.of(job_id))
