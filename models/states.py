"""The states of a job and of an image, a sentence each.

They are changed in one package only, `captioner.jobs`, whose docstring draws the changes.
"""

from enum import IntEnum, StrEnum


class JobState(StrEnum):
    """Where a job stands. It follows from the states of its images."""

    QUEUED = "queued"
    """Stored; no worker has taken any of its images yet."""
    RUNNING = "running"
    """At least one image was taken by a worker, and at least one is not final."""
    CANCELING = "canceling"
    """It is to stop, and some of its images are still being worked on."""
    SUCCEEDED = "succeeded"
    """Every image has a caption."""
    PARTIAL = "partial"
    """Every image is final: some have a caption, some failed."""
    FAILED = "failed"
    """Every image is final, and none has a caption."""
    CANCELED = "canceled"
    """Somebody canceled it, and no work on it goes on. Captions made before are kept."""
    EXPIRED = "expired"
    """Its deadline passed, and no work on it goes on. Captions made before are kept."""

    @property
    def final(self) -> bool:
        """Whether the job stays as it is, unless somebody asks for a retry."""
        return self not in (JobState.QUEUED, JobState.RUNNING, JobState.CANCELING)


class ImageState(StrEnum):
    """Where one image of a job stands."""

    QUEUED = "queued"
    """Stored and waiting for a worker, for the first time or again."""
    RUNNING = "running"
    """Held by one attempt of one worker until its lease runs out."""
    STYLING = "styling"
    """It has its plain caption, and a styler is at work on it."""
    SUCCEEDED = "succeeded"
    """It has a caption."""
    FAILED = "failed"
    """It has an error code, and will not be tried again by itself."""
    CANCELED = "canceled"
    """Its job was canceled, or its deadline passed, before it had a caption."""

    @property
    def final(self) -> bool:
        """Whether the image stays as it is, unless somebody asks for a retry."""
        return self in (ImageState.SUCCEEDED, ImageState.FAILED, ImageState.CANCELED)


class CancelCause(StrEnum):
    """Why a job is to stop before its images are done."""

    ASKED = "asked"
    """Somebody asked for it."""
    DEADLINE = "deadline"
    """The deadline that came with the job passed."""


class DeletionReason(StrEnum):
    """Why a job is gone."""

    ASKED = "asked"
    """Somebody asked for it."""
    RETENTION = "retention"
    """It was kept for as long as the operator keeps jobs."""
    NOT_STORED = "not_stored"
    """It was not to be kept, and its result was delivered, or nobody fetched it for long."""


class Priority(IntEnum):
    """Which of two jobs goes first. It is a head start, so that no job waits for ever."""

    LOW = 0
    NORMAL = 1
    HIGH = 2
