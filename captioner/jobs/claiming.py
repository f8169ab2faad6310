"""Taking images."""

from collections.abc import Collection, Iterable, Sequence
from itertools import takewhile
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Float,
    and_,
    bindparam,
    func,
    not_,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import Session

from captioner.clock import now, now_plus
from captioner.jobs.keys import Key, listed, named
from captioner.jobs.ranking import FEW
from captioner.options import Options
from captioner.styles import Styling
from captioner.webhooks import outbox
from captioner.work import Claim
from models import ImageDetails, ImageState, Job, JobImage, JobState, WebhookKind

AWAY = and_(JobImage.blob_sha256.is_(None), JobImage.source_url.is_not(None))
"""The condition that an image's picture is at its URL still. The index of these has the same."""


def claim(
    session: Session,
    *,
    model: str,
    limit: int,
    worker: str,
    lease_s: float,
    max_attempts: int,
    retry_s: float,
    again: tuple[UUID, Sequence[int]] | None = None,
    to_fetch: bool = False,
    hurried: bool = False,
    not_of: Collection[UUID] = (),
) -> list[Claim]:
    """Take the images of the model that are next in line, at most `limit`; maybe none.

    Every message makes one such claim, so there are enough of them for all images, and the order
    is the database's alone, whatever the broker does. Images that lost an attempt are left out:
    they have messages of their own, which name them with `again`.

    Images whose picture is at its URL still are taken with `to_fetch`, and then no others, and none
    of the jobs `not_of`. With `hurried` those at the head of the line that are of small jobs are
    taken, and none behind them.

    Images whose lease ran out are freed by `take_back_expired`, not here. `retry_s` is how
    long an image waits for a part that is away.
    """
    images = _next_in_line(session, model, limit, max_attempts, again, to_fetch, retry_s, not_of)
    if hurried:
        images = _small_ones(session, images)
    if not images:
        return []
    taken = listed((image.job_id, image.position) for image in images)
    session.connection().execute(_TAKE, {"keys": taken, "worker_now": worker, "lease": lease_s})
    jobs = _started(session, sorted({image.job_id for image in images}))
    return [_claim_of(image, jobs[image.job_id]) for image in images]


def _claim_of(image: Any, job: Any) -> Claim:
    return Claim(
        job_id=image.job_id,
        position=image.position,
        attempt=image.attempt + 1,
        blob_sha256=image.blob_sha256,
        model=job.model,
        options=Options.stored(job.options, job.prompt),
        may_wait=bool(image.may_wait),
        alone=image.lost > 0,
        source_url=image.source_url,
        fetch_failures=image.fetch_failures,
        stored=job.stored,
        rank=image.rank,
        hurried=job.image_count <= FEW,
        thumbnails=bool(job.thumbnails),
        styling=None if job.styling is None else Styling.from_json(job.styling),
    )


def hurried_next(session: Session, model: str) -> bool:
    """Whether the image of the model that is next in line is of a small job."""
    images = session.scalar(_SIZE_OF_NEXT, {"of_model": model})
    return images is not None and images <= FEW


def _small_ones(session: Session, images: Sequence[Any]) -> Sequence[Any]:
    """Those before the first that is of a job that is not small."""
    of = {image.job_id for image in images}
    small = set(session.scalars(select(Job.id).where(Job.id.in_(of), Job.image_count <= FEW)))
    return list(takewhile(lambda image: image.job_id in small, images))


def _next_in_line(
    session: Session,
    model: str,
    limit: int,
    max_attempts: int,
    again: tuple[UUID, Sequence[int]] | None,
    to_fetch: bool,
    retry_s: float,
    not_of: Collection[UUID],
) -> Sequence[Any]:
    """The images, locked, as they are before they are taken."""
    given: dict[str, object] = {"most": limit, "max_attempts": max_attempts, "patience": -retry_s}
    if to_fetch:
        given["not_of"] = list(not_of)
    if again is None:
        given["of_model"] = model
    else:
        given |= {"of_job": again[0], "positions": list(again[1])}
    return session.connection().execute(_NEXT[again is not None, to_fetch], given).all()


def _next(*, again: bool, to_fetch: bool) -> Any:
    free = [*_free(to_fetch=to_fetch), JobImage.lost < bindparam("max_attempts")]
    if again:
        named = JobImage.position.in_(bindparam("positions", expanding=True))
        free += [JobImage.job_id == bindparam("of_job"), named, JobImage.lost > 0]
    else:
        free += [JobImage.model == bindparam("of_model"), JobImage.lost == 0]
    if to_fetch:
        free.append(JobImage.job_id.not_in(bindparam("not_of", expanding=True)))
    since = now_plus(bindparam("patience", type_=Float))
    return (
        select(
            JobImage.job_id,
            JobImage.position,
            JobImage.attempt,
            JobImage.lost,
            JobImage.blob_sha256,
            JobImage.source_url,
            JobImage.fetch_failures,
            JobImage.rank,
            (func.coalesce(JobImage.waiting_since, now()) > since).label("may_wait"),
        )
        .where(*free)
        .order_by(JobImage.rank, JobImage.job_id, JobImage.position)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True)
    )


def _free(*, to_fetch: bool) -> list[ColumnElement[bool]]:
    return [
        AWAY if to_fetch else not_(AWAY),
        JobImage.state == ImageState.QUEUED,
        or_(JobImage.not_before.is_(None), JobImage.not_before <= now()),
    ]


# Made once: to make a statement costs more than to run it, and these run for every message.
_NEXT = {
    (again, to_fetch): _next(again=again, to_fetch=to_fetch)
    for again in (False, True)
    for to_fetch in (False, True)
}
_SIZE_OF_NEXT = select(Job.image_count).where(
    Job.id
    == select(JobImage.job_id)
    .where(*_free(to_fetch=False), JobImage.model == bindparam("of_model"), JobImage.lost == 0)
    .order_by(JobImage.rank)
    .limit(1)
    .scalar_subquery()
)
_TAKE = (  # they are locked already
    update(JobImage)
    .where(named())
    .values(
        state=ImageState.RUNNING,
        attempt=JobImage.attempt + 1,
        lease_until=now_plus(bindparam("lease", type_=Float)),
        worker=bindparam("worker_now"),
        started_at=now(),
    )
)
_JOBS = select(
    Job.id,
    Job.state,
    Job.model,
    Job.prompt,
    Job.options,
    Job.stored,
    Job.image_count,
    Job.styling,
    select(ImageDetails.job_id).where(ImageDetails.job_id == Job.id).exists().label("thumbnails"),
).where(Job.id.in_(bindparam("ids", expanding=True)))
_QUEUED = (
    select(Job.id)
    .where(Job.id.in_(bindparam("ids", expanding=True)), Job.state == JobState.QUEUED)
    .order_by(Job.id)
    .with_for_update()
)
_BEGIN = (
    update(Job)
    .where(Job.id.in_(bindparam("ids", expanding=True)), Job.state == JobState.QUEUED)
    .values(state=JobState.RUNNING, started_at=now(), event_seq=Job.event_seq + 1)
    .returning(Job.id, Job.webhook_url)
)


HELD = or_(
    JobImage.state == ImageState.RUNNING,
    and_(JobImage.state == ImageState.STYLING, JobImage.lease_until.is_not(None)),
)
"""The condition that somebody works on an image: without a lease it waits for its styler."""


def held(claim: Claim) -> list[ColumnElement[bool]]:
    """The condition that the image is still this claim's."""
    state = ImageState.RUNNING if claim.caption is None else ImageState.STYLING
    return [
        JobImage.job_id == claim.job_id,
        JobImage.position == claim.position,
        JobImage.attempt == claim.attempt,
        JobImage.state == state,
    ]


def among(keys: Iterable[Key]) -> ColumnElement[bool]:
    """The condition that an image is one of these."""
    return tuple_(JobImage.job_id, JobImage.position).in_(list(keys))


def locked(session: Session, *wanted: ColumnElement[bool]) -> list[Key]:
    """Lock the images for which all of this is true, in the order in which all locks are taken.

    An `UPDATE` of several rows takes them in any order, and two of them may wait for each other.
    """
    rows = session.execute(
        select(JobImage.job_id, JobImage.position)
        .where(*wanted)
        .order_by(JobImage.job_id, JobImage.position)
        .with_for_update()
    )
    return [(row.job_id, row.position) for row in rows]


def lock_jobs(session: Session, job_ids: Iterable[UUID]) -> None:
    """Lock jobs by their ids, before several changes that each take some of them."""
    if ids := set(job_ids):
        wanted = select(Job.id).where(Job.id.in_(ids)).order_by(Job.id)
        session.execute(wanted.with_for_update())


def _started(session: Session, job_ids: Sequence[UUID]) -> dict[UUID, Any]:
    """The jobs are running now. Returns what their images' claims say of them."""
    rows = session.connection().execute(_JOBS, {"ids": list(job_ids)}).all()
    waiting = [row.id for row in rows if row.state == JobState.QUEUED]
    for job_id in _begin(session, waiting):
        outbox.note(session, job_id, WebhookKind.JOB_STARTED)
    return {row.id: row for row in rows}


def _begin(session: Session, job_ids: Sequence[UUID]) -> list[UUID]:
    """Of the jobs that were still queued, those that somebody is to be told of."""
    if not job_ids:
        return []
    queued = job_ids
    if len(job_ids) > 1:  # locked in order first, as an UPDATE takes several in any order
        queued = session.scalars(_QUEUED, {"ids": list(job_ids)}).all()
    if not queued:
        return []
    begun = session.connection().execute(_BEGIN, {"ids": list(queued)})
    return sorted(row.id for row in begun if row.webhook_url is not None)
