"""The states of a job and of an image, a sentence each.

They are changed in one module only, `captioner.jobs`.
"""

from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands. It follows from the states of its images."""

    QUEUED = "queued"
    """Stored; no worker has taken any of its images yet."""
    RUNNING = "running"
    """At least one image was taken by a worker, and at least one is not final."""
    SUCCEEDED = "succeeded"
    """Every image has a caption."""
    PARTIAL = "partial"
    """Every image is final: some have a caption, some failed."""
    FAILED = "failed"
    """Every image is final, and none has a caption."""

    @property
    def final(self) -> bool:
        """Whether the job will never change again."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


class ImageState(StrEnum):
    """Where one image of a job stands."""

    QUEUED = "queued"
    """Stored and waiting for a worker, for the first time or again."""
    RUNNING = "running"
    """Held by one attempt of one worker until its lease runs out."""
    SUCCEEDED = "succeeded"
    """It has a caption."""
    FAILED = "failed"
    """It has an error code, and will not be tried again."""

    @property
    def final(self) -> bool:
        """Whether the image will never change again."""
        return self in (ImageState.SUCCEEDED, ImageState.FAILED)
