"""The values that pass between intake, queue and worker: plain data, no behaviour."""

from dataclasses import dataclass
from uuid import UUID

from captioner.errors import CaptionerError


@dataclass(frozen=True)
class Picture:
    """One image of a job to be: stored under a hash, or refused with an error."""

    file_name: str | None
    blob_sha256: str | None
    refusal: CaptionerError | None = None


@dataclass(frozen=True)
class Claim:
    """The right to work on one image, until the lease ends or a later attempt takes over."""

    job_id: UUID
    position: int
    attempt: int
    blob_sha256: str
    model: str
    prompt: str | None
    may_wait: bool = True
    """Whether the job is young enough to wait for a part that is away."""

    @property
    def alone(self) -> bool:
        """Whether it must run outside any batch: an attempt before this one did not come back."""
        return self.attempt > 1


@dataclass(frozen=True)
class Timings:
    """How long each step of one image took, in milliseconds."""

    decode_ms: float | None = None
    wait_ms: float | None = None
    infer_ms: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a claim: a caption, or an error."""

    claim: Claim
    caption: str | None = None
    error: CaptionerError | None = None
    model_revision: str | None = None
    timings: Timings = Timings()


@dataclass(frozen=True)
class Parcel:
    """Images of one job that one message will name."""

    job_id: UUID
    model: str
    positions: tuple[int, ...]
    again: bool = False
    """Whether an attempt was lost already: then there is one image, and it is worked on alone."""
