"""The images of the image pipeline: jobs of one picture, with what its file says of itself.

A job is one of them if it has details. So a look at them is a walk along an index of these alone,
and other jobs carry nothing for it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from captioner import queries
from captioner.details import Details
from captioner.errors import ImageNotFound, JobDeleted
from captioner.images import ImageLimits
from captioner.work import Order
from models import ImageDetails, ImageState, Job, JobImage

FORMATS = ("JPEG", "PNG")
CAPTIONED = (ImageState.STYLING, ImageState.SUCCEEDED)
"""States of an image that has its caption, and its thumbnails, which are stored before."""


@dataclass(frozen=True)
class Shown:
    """One image of the pipeline, as read in one transaction."""

    job: Job
    image: JobImage
    details: ImageDetails

    @property
    def has_thumbnails(self) -> bool:
        """Whether they are there, as of the rows."""
        there = self.image.blob_sha256 is not None
        return there and self.image.state in CAPTIONED


def limits(usual: ImageLimits) -> ImageLimits:
    """What a picture may be that is sent to the pipeline."""
    return replace(usual, formats=tuple(name for name in FORMATS if name in usual.formats))


def add(session: Session, images: Sequence[tuple[Order, Details]]) -> None:
    """Make these new jobs images of the pipeline, in the transaction that stores them."""
    if images:
        session.connection().execute(
            insert(ImageDetails),
            [
                {"job_id": order.job_id, "owner": order.owner, **asdict(details)}
                for order, details in images
            ],
        )


def page(
    session: Session, *, before: UUID | None = None, owner: str | None = None, limit: int
) -> Sequence[Any]:
    """Rows of `job_id`, `file_name`, `state` and `created_at`, newest first.

    Those older than `before`, and only the owner's, where given. At most `limit`.
    """
    ids = select(ImageDetails.job_id).order_by(ImageDetails.job_id.desc()).limit(limit)
    if before is not None:
        ids = ids.where(ImageDetails.job_id < before)
    if owner is not None:
        ids = ids.where(ImageDetails.owner == owner)
    page = ids.subquery()  # first of all: so no database begins with the other tables
    return session.execute(
        select(page.c.job_id, JobImage.file_name, Job.state, Job.created_at)
        .join(Job, Job.id == page.c.job_id)
        .join(JobImage, (JobImage.job_id == page.c.job_id) & (JobImage.position == 0))
        .order_by(page.c.job_id.desc())
    ).all()


def image(session: Session, job_id: UUID, *, owner: str | None = None) -> Shown:
    """One image of the pipeline. Raises `ImageNotFound`, or `JobDeleted` for one that was here.

    Where an `owner` is given, the images of others are as if they were not there.
    """
    wanted = (
        select(Job, JobImage, ImageDetails)
        .join(ImageDetails, ImageDetails.job_id == Job.id)
        .join(JobImage, (JobImage.job_id == Job.id) & (JobImage.position == 0))
        .where(Job.id == job_id)
    )
    row = session.execute(wanted if owner is None else wanted.where(Job.owner == owner)).first()
    if row is not None:
        return Shown(*row)
    why = queries.absent(session, job_id, owner=owner)
    raise why if isinstance(why, JobDeleted) else ImageNotFound(absence(job_id))


def absence(image_id: object) -> str:
    """What is said of an id that no image has."""
    return f"There is no image with the id '{str(image_id)[:64]}'."
