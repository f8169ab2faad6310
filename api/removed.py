"""The shape of what is left to say of a job that was deleted."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, Field

from captioner.retention import Deletion


class RemovedParts(BaseModel):
    """What a deletion removed."""

    images: Annotated[int, Field(description="Images of the job, with captions and errors.")]
    blobs: Annotated[int, Field(description="Picture files that no other job uses.")]
    bytes: Annotated[int, Field(description="Bytes of those files.")]
    cached_captions: Annotated[
        int, Field(description="Captions of those files that were remembered.")
    ]


class Deleted(BaseModel):
    """The job is gone."""

    id: UUID
    deleted_at: datetime
    removed: RemovedParts
    pending_blobs: Annotated[
        int,
        Field(description="Files that go later: the picture store, or the cache, does not answer."),
    ]

    @classmethod
    def of(cls, deletion: Deletion) -> Self:
        """The view of a deletion."""
        gone = deletion.pictures
        return cls(
            id=deletion.job_id,
            deleted_at=deletion.deleted_at,
            removed=RemovedParts(
                images=deletion.images,
                blobs=gone.blobs,
                bytes=gone.bytes,
                cached_captions=gone.captions,
            ),
            pending_blobs=gone.left,
        )
