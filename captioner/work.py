"""The values that pass between intake, queue and worker: plain data, no behaviour."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from captioner.errors import CaptionerError
from captioner.options import PLAIN, Fault, Options
from captioner.styles import Style, Styler, Styling
from models import Priority, WebhookKind


@dataclass(frozen=True)
class Remembered:
    """A caption that was made before."""

    caption: str
    score: float | None = None
    others: tuple[tuple[str, float | None], ...] = ()
    """Further captions and their scores."""
    model_revision: str | None = None
    retried_for: Fault | None = None
    """What was wrong with the first caption, when it was asked for once more."""
    tags: tuple[str, ...] | None = None
    flagged: bool | None = None


@dataclass(frozen=True)
class Picture:
    """One image of a job to be: stored under a hash, to be fetched, or refused with an error."""

    file_name: str | None
    blob_sha256: str | None
    refusal: CaptionerError | None = None
    source_url: str | None = None
    known: Remembered | None = None
    """Its caption, if that was made before: then no worker is needed."""


@dataclass(frozen=True)
class Hook:
    """Who is to be told of a job, and of what."""

    url: str
    events: tuple[WebhookKind, ...] = (WebhookKind.JOB_FINISHED,)


@dataclass(frozen=True)
class Order:
    """What a job is made with, besides its pictures."""

    job_id: UUID
    model: str
    options: Options = PLAIN
    created: datetime | None = None
    """When it was let in, by the database's clock; `None`: as it is stored."""
    caller: str = ""
    owner: str | None = None
    priority: Priority = Priority.NORMAL
    cancel_after_s: float | None = None
    """Seconds from then after which its work stops, done or not."""
    stored: bool = True
    """Whether it is kept once its result was delivered."""
    expected_s: float | None = None
    """Seconds from then until it is expected to be done."""
    pace_s: float = 1.0
    """Seconds that one of its images is expected to take: spreads a large job among others."""
    webhook: Hook | None = None
    styling: Styling | None = None
    """The styles that are wanted beside the plain captions; its styler is a name."""


@dataclass(frozen=True)
class Claim:
    """The right to work on one image, until the lease ends or a later attempt takes over."""

    job_id: UUID
    position: int
    attempt: int
    blob_sha256: str | None
    model: str
    options: Options = PLAIN
    may_wait: bool = True
    """Whether it may wait (longer) for a part that is away."""
    alone: bool = False
    """Whether it must run outside any batch: an attempt before this one did not come back."""
    source_url: str | None = None
    """Where the picture comes from, while `blob_sha256` is empty."""
    fetch_failures: int = 0
    """How often its host was away."""
    stored: bool = True
    """Whether anything may be kept of its job once its result was delivered."""
    rank: float = 0.0
    """Its place in line: the least is worked on first."""
    hurried: bool = False
    """Whether its job is small, so that somebody may be waiting for just this."""
    thumbnails: bool = False
    """Whether thumbnails of its picture are to be made."""

    styling: Styling | None = None
    """The styles that are wanted beside the caption."""
    caption: str | None = None
    """The plain caption, where it is to be styled; until then it is to be captioned."""

    def __post_init__(self) -> None:
        # Of what names a claim: dictionaries ask for it often, and the rest follows from these.
        object.__setattr__(self, "_hash", hash((self.job_id, self.position, self.attempt)))

    def __hash__(self) -> int:
        return self._hash  # type: ignore[attr-defined, no-any-return]


@dataclass(frozen=True)
class Timings:
    """How long each step of one image took, in milliseconds, and how many shared the last."""

    decode_ms: float | None = None
    wait_ms: float | None = None
    infer_ms: float | None = None
    batch_size: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a claim: a caption, or an error."""

    claim: Claim
    caption: str | None = None
    score: float | None = None
    others: tuple[tuple[str, float | None], ...] = ()
    """Further captions and their scores."""
    retried_for: Fault | None = None
    """What was wrong with the first caption, when it was asked for once more."""
    tags: tuple[str, ...] | None = None
    """Its words of content, where they were wanted."""
    flagged: bool | None = None
    """The answer to a question of yes or no, where one was asked and answered."""
    error: CaptionerError | None = None
    model_revision: str | None = None
    version: str | None = None
    """Of the engine that made the caption: see `worker.engines.version`."""
    timings: Timings = Timings()


@dataclass(frozen=True)
class StyleOutcome:
    """What became of a claim to style: every style that was asked for, or why there are none."""

    claim: Claim
    styled: tuple[tuple[Style, tuple[str, ...]], ...] = ()
    warning: CaptionerError | None = None


@dataclass(frozen=True)
class Parcel:
    """Images of one job that one message will name."""

    job_id: UUID
    model: str
    positions: tuple[int, ...]
    again: bool = False
    """Whether an attempt was lost already: then there is one image, and it is worked on alone."""
    to_fetch: bool = False
    """Whether a picture of its job is at its URL still."""
    origin: str = field(default="", compare=False)
    """Where it was asked for, while traces are told: see `captioner.tracing`."""
    styler: Styler | None = None
    """Who is to style them, where they have their captions. `model` is then the one that a local
    styler asks."""
