"""What one request asks for, and what it gets."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from uuid import UUID

from captioner import idempotency
from captioner.options import PLAIN, Options
from captioner.styles import Styling
from captioner.taken import Link, Upload
from captioner.work import Hook, Picture
from models import JobState, Priority

NOT_CONTENT = ("uploads", "caller", "owner", "account", "idempotency_key", "options", "anew")
"""Fields of a submission that do not count as they are, when two are compared."""


@dataclass(frozen=True)
class Submission:
    """What one request asks for."""

    uploads: Sequence[Upload | Link]
    model: str | None = None
    options: Options = PLAIN
    priority: Priority = Priority.NORMAL
    stored: bool = True
    caller: str = ""
    owner: str | None = None
    """Whose the job is to be, where keys are asked for."""
    account: str = ""
    """Whose quota the pictures count against; empty: nobody's."""
    cancel_after_s: float | None = None
    idempotency_key: str | None = None
    webhook: Hook | None = None
    styling: Styling | None = None
    """The styles that are wanted beside the plain captions."""
    anew: bool = False
    """Whether every caption is to be made now, though one may have been made before."""
    gallery: bool = False
    """Whether it is an image of the pipeline: one JPEG or PNG, with thumbnails."""


@dataclass(frozen=True)
class Receipt:
    """The job of a submission."""

    job_id: UUID
    replayed: bool = False
    """Whether it was there already, from an earlier request with the same key."""
    state: JobState = JobState.QUEUED
    """Of a job that is new. It is final already where every caption was known."""


def fingerprint(submission: Submission, listed: Sequence[Picture]) -> str:
    """What two submissions with one idempotency key have in common."""
    # What is left at its default does not count, so that a field more changes no fingerprint.
    options = {
        field.name: getattr(submission, field.name)
        for field in fields(submission)
        if field.name not in NOT_CONTENT and getattr(submission, field.name) != field.default
    }
    return idempotency.fingerprint(options | submission.options.given, listed)
