"""The shapes of answers. The OpenAPI document is made from these same classes."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.image_view import ImageView, IndexedFault
from api.style_view import IndexedStyles
from captioner.forecast import Forecast
from captioner.options import Options
from captioner.queries import JobListed, JobRead
from models import Job, JobState, Worker


class Urls(BaseModel):
    """Where to look further."""

    self_: Annotated[str, Field(alias="self", description="The job itself.")]

    @classmethod
    def of(cls, job_id: UUID) -> Self:
        """The addresses of a job."""
        return cls.model_validate({"self": f"/captionImage/{job_id}"})


class Accepted(BaseModel):
    """The job is stored and will be done."""

    id: UUID
    msg: Annotated[
        str, Field(description="'Job Started!', or 'Job finished!' where every caption was known.")
    ]
    status: JobState
    urls: Urls

    @classmethod
    def of(cls, job_id: UUID, status: JobState, *, msg: str | None = None) -> Self:
        """What is said of a job that is in this state, whoever takes it down."""
        usual = "Job finished!" if status.final else "Job Started!"
        return cls(id=job_id, msg=msg or usual, status=status, urls=Urls.of(job_id))


TagsOfEach = Annotated[
    list[list[str] | None] | None,
    Field(description="Of each image its words of content; only where they were asked for."),
]
FlagsOfEach = Annotated[
    list[bool | None] | None,
    Field(description="Of each image the answer to the flag question; only where it was put."),
]


StylesOfEach = Annotated[
    list[IndexedStyles] | None,
    Field(description="What became of each image's styles; only where some were asked for."),
]


class Finished(BaseModel):
    """The job is done: one caption per image, in order; null where there is none."""

    id: UUID
    msg: str = "Job finished!"
    status: JobState
    result: list[str | None]
    errors: list[IndexedFault]
    urls: Urls
    styled: StylesOfEach = None
    tags: TagsOfEach = None
    flagged: FlagsOfEach = None


class Counts(BaseModel):
    """How many images are where."""

    total: int
    succeeded: int
    failed: int
    canceled: int
    unfinished: int

    @classmethod
    def of(cls, job: Job) -> Self:
        """The counts of a row."""
        ended = job.succeeded_count + job.failed_count + job.canceled_count
        return cls(
            total=job.image_count,
            succeeded=job.succeeded_count,
            failed=job.failed_count,
            canceled=job.canceled_count,
            unfinished=job.image_count - ended,
        )


class JobSummary(BaseModel):
    """A job in a list."""

    id: UUID
    status: JobState
    model: str
    result: list[str | None]
    counts: Counts
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    urls: Urls

    @classmethod
    def of(cls, listed: JobListed) -> Self:
        """The view of a job as it is listed."""
        return cls.model_validate(_summary(listed.job, listed.captions))


class JobView(JobSummary):
    """The whole job."""

    prompt: str | None
    options: Annotated[
        dict[str, bool | int | float | str], Field(description="The other options that were sent.")
    ]
    styling: Annotated[
        dict[str, Any] | None, Field(description="The styles that were asked for, and how.")
    ]
    images: list[ImageView]
    queue_position: Annotated[
        int | None, Field(description="1 for the next job of its model; null once begun.")
    ]
    images_ahead: Annotated[
        int | None, Field(description="Others' pictures that go before its last; null once done.")
    ]
    eta_s: Annotated[
        float | None,
        Field(description="Seconds until it is done, by the pace that workers measured."),
    ]
    expected_at: Annotated[
        datetime | None, Field(description="When it was expected to be done, as it was created.")
    ]

    @classmethod
    def whole(cls, read: JobRead, forecast: Forecast | None) -> Self:
        """The view of a job as it was read, with its forecast while it is not done."""
        return cls.model_validate(
            {
                **_summary(read.job, [image.caption for image in read.images]),
                "prompt": read.job.prompt,
                "options": Options.from_json(read.job.options).given,
                "styling": read.job.styling and json.loads(read.job.styling),
                "images": [ImageView.of(image) for image in read.images],
                "queue_position": forecast and forecast.queue_position,
                "images_ahead": forecast and forecast.images_ahead,
                "eta_s": forecast and forecast.eta_s,
                "expected_at": read.job.expected_at,
            }
        )


class CacheReset(BaseModel):
    """Captions are forgotten."""

    status: Literal["ok"]
    model: Annotated[str | None, Field(description="Whose captions alone, if one was named.")]
    forgotten: Annotated[int, Field(description="How many there were.")]


class Problem(BaseModel):
    """What went wrong (RFC 9457). `code` is stable; some codes add fields of their own."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: Annotated[
        str | None, Field(description="The request's, as in X-Request-ID and in the logs.")
    ] = None


class ModelView(BaseModel):
    """A model, as one worker has it: `ready`, `on demand` (to be loaded when it is asked
    for, and then in another's place), `loading`, `failed` or `not loaded`."""

    state: str
    detail: str | None = None


class WorkerView(BaseModel):
    """A worker process that is alive."""

    id: UUID
    name: str
    host: str
    pid: int
    device: str
    models: dict[str, ModelView]
    draining: Annotated[bool, Field(description="It takes no new images, and is about to end.")]
    held: Annotated[int, Field(description="Images that it works on.")]
    pace: Annotated[dict[str, float], Field(description="Model to measured seconds per image.")]
    started_at: datetime
    heartbeat_at: datetime

    @classmethod
    def of(cls, worker: Worker) -> Self:
        """The view of a row."""
        return cls.model_validate(worker, from_attributes=True)


class Alive(BaseModel):
    """The process answers."""

    status: str


class Ready(BaseModel):
    """Whether a caption can be had now; `reasons` names each part that is not ready."""

    ready: bool
    reasons: dict[str, str]


def _summary(job: Job, captions: list[str | None]) -> dict[str, object]:
    return {
        "id": job.id,
        "status": JobState(job.state),
        "model": job.model,
        "result": captions,
        "counts": Counts.of(job),
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "urls": Urls.of(job.id),
    }


def beyond(read: JobRead) -> dict[str, Any]:
    """What images have beside their captions, in their order, as `Finished` takes it."""
    views = [ImageView.of(image) for image in read.images]
    return {"tags": [view.tags for view in views], "flagged": [view.flagged for view in views]}


def unasked(read: JobRead) -> set[str]:
    """What `Finished` has that the job did not ask for."""
    given = Options.from_json(read.job.options).given
    asked = {
        "tags": "tags" in given,
        "flagged": "flag" in given,
        "styled": read.job.styling is not None,
    }
    return {name for name, wanted in asked.items() if not wanted}
