"""One image of a job, as it is told."""

import json
from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, Field

from api.style_view import TITLES, IndexedStyles, StylesView, fields_of
from captioner.options import Fault
from captioner.queries import JobRead
from models import ImageState, JobImage


class ImageFault(BaseModel):
    """Why one image has no caption."""

    code: str
    title: str
    detail: str | None


class IndexedFault(ImageFault):
    """Why the image at `index` has no caption."""

    index: int


class ImageTimings(BaseModel):
    """Milliseconds of each step, where it was taken."""

    decode_ms: float | None
    wait_ms: float | None
    infer_ms: float | None


class Captioned(BaseModel):
    """One of several captions."""

    caption: str
    score: float | None


class ImageView(StylesView):
    """One image of a job."""

    position: int
    file_name: str | None
    status: ImageState
    caption: str | None
    score: Annotated[
        float | None,
        Field(description="Mean log-probability of the caption's tokens; nearer 0 is surer."),
    ]
    captions: Annotated[
        list[Captioned], Field(description="All captions, the best first, where several were asked")
    ]
    tags: Annotated[
        list[str] | None, Field(description="Words of content, where tags were wanted.")
    ]
    flagged: Annotated[
        bool | None, Field(description="Answer to the flag question; null where there is none.")
    ]
    retried_for: Annotated[
        Fault | None,
        Field(description="What was wrong with the first caption, where there was a second."),
    ]
    error: ImageFault | None
    cached: bool
    attempt: int
    model_revision: str | None
    timings: ImageTimings
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, image: JobImage) -> Self:
        """The view of a row."""
        return cls(
            position=image.position,
            file_name=image.file_name,
            status=ImageState(image.state),
            caption=image.caption,
            score=image.score,
            captions=_all_captions(image),
            tags=None if image.tags is None else json.loads(image.tags),
            flagged=image.flagged,
            **fields_of(image),
            retried_for=None if image.retried_for is None else Fault(image.retried_for),
            error=fault(image),
            cached=image.cached,
            attempt=image.attempt,
            model_revision=image.model_revision,
            timings=ImageTimings(
                decode_ms=image.decode_ms, wait_ms=image.wait_ms, infer_ms=image.infer_ms
            ),
            started_at=image.started_at,
            finished_at=image.finished_at,
        )


def _all_captions(image: JobImage) -> list[Captioned]:
    if image.caption is None or not image.others:
        return []
    pairs = [(image.caption, image.score), *json.loads(image.others)]
    return [Captioned(caption=caption, score=score) for caption, score in pairs]


def fault(image: JobImage) -> ImageFault | None:
    """Why an image has no caption, if it failed."""
    if image.error_code is None:
        return None
    title = TITLES.get(image.error_code, image.error_code)
    return ImageFault(code=image.error_code, title=title, detail=image.error_detail)


def faults(read: JobRead) -> list[IndexedFault]:
    """Why each failed image of a job has no caption."""
    found = [(image.position, fault(image)) for image in read.images]
    return [IndexedFault(index=n, **dict(why)) for n, why in found if why is not None]


def indexed_styles(read: JobRead) -> list[IndexedStyles] | None:
    """What became of the styles of each image; `None` where the job wants none."""
    if read.job.styling is None:
        return None
    return [
        IndexedStyles.model_validate({"index": image.position, **fields_of(image)})
        for image in read.images
    ]
