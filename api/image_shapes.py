"""The shapes of the image pipeline's answers."""

import json
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, Field

from api.image_view import ImageFault, fault
from api.style_view import WishedStyles, fields_wished
from captioner.blobs import THUMBNAILS
from captioner.details import Position
from captioner.gallery import Shown
from captioner.options import Options
from captioner.results import Results
from models import ImageDetails, ImageState, Job, JobImage, JobState

PERCENTS = (50, 90, 99)
TAGS = "The caption's words of content; null until there is one. Only where tags were wanted."
FLAGGED = "The answer to the flag question; null where there is none. Only where one was asked."


class ImageAccepted(BaseModel):
    """The image is stored and will be processed."""

    image_id: UUID
    status: JobState


class ImageListed(BaseModel):
    """An image in a list."""

    filename: str | None
    image_id: UUID
    status: JobState
    created: datetime

    @classmethod
    def of(cls, row: Any) -> Self:
        """The view of a row of `gallery.page`."""
        return cls(
            filename=row.file_name,
            image_id=row.job_id,
            status=JobState(row.state),
            created=row.created_at,
        )


class Exif(BaseModel):
    """What the camera said."""

    camera: str | None
    taken_at: Annotated[
        str | None,
        Field(description="By the camera's clock, ISO 8601; with a zone where it has one."),
    ]
    orientation: Annotated[
        int | None, Field(description="EXIF's number, 1 to 8; thumbnails are upright.")
    ]


class Gps(BaseModel):
    """Where it was taken, in degrees."""

    latitude: float
    longitude: float


class ImageMetadata(BaseModel):
    """What the picture's file says of itself."""

    format: str
    mode: Annotated[str, Field(description="Pillow's name of how its pixels are stored.")]
    bytes: int
    width: Annotated[int, Field(description="Pixels, as stored, before `orientation` turns it.")]
    height: int
    exif: Exif
    gps: Annotated[
        Gps | None, Field(description="With ?gps=true alone, where the picture is still stored.")
    ]

    @classmethod
    def of(cls, row: ImageDetails, where: Position | None) -> Self:
        """The view of a row."""
        return cls(
            format=row.format,
            mode=row.mode,
            bytes=row.bytes,
            width=row.width,
            height=row.height,
            exif=Exif(camera=row.camera, taken_at=row.taken_at, orientation=row.orientation),
            gps=Gps(latitude=where.latitude, longitude=where.longitude) if where else None,
        )


class PipelineTimings(BaseModel):
    """Milliseconds in the queue and in processing, and of the steps of the latter."""

    queued_ms: float | None
    processing_ms: float | None
    decode_ms: float | None
    wait_ms: float | None
    infer_ms: float | None

    @classmethod
    def between(cls, job: Job, image: JobImage) -> Self:
        """The view of two rows."""
        return cls(
            queued_ms=_ms(job.created_at, image.started_at),
            processing_ms=_ms(image.started_at, image.finished_at),
            decode_ms=image.decode_ms,
            wait_ms=image.wait_ms,
            infer_ms=image.infer_ms,
        )


class ThumbnailLinks(BaseModel):
    """Where the thumbnails are, as JPEG files."""

    small: str
    medium: str

    @classmethod
    def to(cls, image_id: UUID) -> Self:
        """Of an image."""
        return cls(**{name: link(image_id, name) for name in THUMBNAILS})


class PipelineImage(ImageListed, WishedStyles):
    """The whole image. Tags, the flag and styles are told where they were asked for."""

    model: str
    caption: str | None
    error: ImageFault | None
    metadata: ImageMetadata
    timings: PipelineTimings
    thumbnails: Annotated[
        ThumbnailLinks | None, Field(description="null where there are none, or not yet.")
    ]

    tags: Annotated[list[str] | None, Field(description=TAGS)] = None
    flagged: Annotated[bool | None, Field(description=FLAGGED)] = None

    @classmethod
    def whole(cls, shown: Shown, where: Position | None) -> Self:
        """The view of an image as it was read."""
        job, image = shown.job, shown.image
        return cls(
            filename=image.file_name,
            image_id=job.id,
            status=JobState(job.state),
            created=job.created_at,
            model=job.model,
            caption=image.caption,
            error=fault(image),
            metadata=ImageMetadata.of(shown.details, where),
            timings=PipelineTimings.between(job, image),
            thumbnails=ThumbnailLinks.to(job.id) if shown.has_thumbnails else None,
            **_asked_for(job, image),
            **fields_wished(image, job),
        )


class Thumbnail(BaseModel):
    """Where a thumbnail is, and the others."""

    image_id: UUID
    size: str
    link: str
    thumbnails: ThumbnailLinks


class ImageCounts(BaseModel):
    """Images in the database now, by where they stand."""

    total: int
    queued: int
    running: int
    styling: int
    succeeded: int
    failed: int
    canceled: int


class ProcessingTimes(BaseModel):
    """Of all images that ever got a caption from a worker: from its claim to the result."""

    images: int
    average_ms: float | None
    p50_ms: Annotated[float | None, Field(description="Percentiles are off by 9 % at most.")]
    p90_ms: float | None
    p99_ms: float | None


class Stats(BaseModel):
    """How the service is doing."""

    images: ImageCounts
    success_rate: Annotated[
        float | None, Field(description="Of the images that succeeded or failed; null without any.")
    ]
    failure_rate: float | None
    processing: ProcessingTimes

    @classmethod
    def of(cls, results: Results, at_work: dict[str, int]) -> Self:
        """From what has ended and how many images of each other state there are."""
        images = {state.value: at_work.get(state, 0) for state in ImageState}
        images |= {state.value: number for state, number in results.images.items()}
        succeeded, failed = images[ImageState.SUCCEEDED], images[ImageState.FAILED]
        ended, times = succeeded + failed, results.times[ImageState.SUCCEEDED]
        percentiles = {f"p{n}_ms": _in_ms(times.percentile_s(n)) for n in PERCENTS}
        return cls(
            images=ImageCounts(total=sum(images.values()), **images),
            success_rate=round(succeeded / ended, 6) if ended else None,
            failure_rate=round(failed / ended, 6) if ended else None,
            processing=ProcessingTimes(
                images=times.images, average_ms=_in_ms(times.average_s), **percentiles
            ),
        )


def link(image_id: UUID, size: str) -> str:
    """The address of a thumbnail's file."""
    return f"/api/images/{image_id}/thumbnails/{size}.jpg"


def _asked_for(job: Job, image: JobImage) -> dict[str, object]:
    """What is told of an image only where its job wants it."""
    options = Options.from_json(job.options)
    tags = None if image.tags is None else json.loads(image.tags)
    return {
        **({"tags": tags} if options.tags else {}),
        **({"flagged": image.flagged} if options.flag else {}),
    }


def _ms(begin: datetime | None, end: datetime | None) -> float | None:
    return _in_ms((end - begin).total_seconds()) if begin and end and end >= begin else None


def _in_ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
