"""Images go back into the queue: handed back by their worker, or taken back from a lost one."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from uuid import UUID

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.orm import Session

from captioner.clock import now, now_plus
from captioner.errors import WorkerLost
from captioner.jobs.claiming import among, held, lock_jobs
from captioner.jobs.controlling import stop_queued
from captioner.jobs.counting import Ended, count
from captioner.jobs.keys import Key
from captioner.jobs.styling import release_to_style
from captioner.work import Claim
from models import ImageState, Job, JobImage, JobState

LIMIT = 5_000
"""Images that one look for expired leases takes up."""


def release(
    session: Session, claims: Iterable[Claim], *, wait_s: float = 0
) -> dict[UUID, JobState]:
    """Hand images back: `queued` again and unpublished; `canceled` if their job is canceling.

    Nobody takes them again for `wait_s` seconds. It does not count as a lost attempt. Returns the
    jobs changed by a cancel, and how.
    """
    freed: list[UUID] = []
    since = func.coalesce(JobImage.waiting_since, now()) if wait_s else JobImage.waiting_since
    for claim in sorted(claims, key=lambda c: (c.job_id, c.position)):
        if claim.caption is not None:
            freed += release_to_style(session, claim)
            continue
        done = session.execute(
            update(JobImage)
            .where(*held(claim))
            .values(
                state=ImageState.QUEUED,
                not_before=now_plus(wait_s) if wait_s else None,
                waiting_since=since,
                lease_until=None,
                published_at=None,
            )
            .returning(JobImage.job_id)
            .execution_options(synchronize_session=False)
        )
        freed += done.scalars()
    return stop_queued(session, freed)


def adopt(session: Session) -> dict[UUID, JobState]:
    """Give images of the version before their job's model, by which they are claimed.

    While a service is brought to a new version, programs of both write into the same tables.
    Returns the jobs changed, and how: none.
    """
    session.execute(
        update(JobImage)
        .where(JobImage.state == ImageState.QUEUED, JobImage.model == "")
        .values(
            model=select(Job.model).where(Job.id == JobImage.job_id).scalar_subquery(),
            published_at=None,
        )
        .execution_options(synchronize_session=False)
    )
    return {}


def take_back_expired(session: Session, *, max_attempts: int) -> dict[UUID, JobState]:
    """Free the images whose lease ran out; fail those without attempts left (`worker_lost`).

    Those of jobs that are canceling become `canceled`. Returns the jobs changed, and how.
    """
    expired = and_(JobImage.state == ImageState.RUNNING, JobImage.lease_until < now())
    # Also those that were queued when more attempts were allowed than now.
    spent = and_(JobImage.state == ImageState.QUEUED, JobImage.lost >= max_attempts)
    rows = session.execute(
        select(JobImage.job_id, JobImage.position, JobImage.lost, JobImage.state)
        .where(or_(expired, spent))
        .order_by(JobImage.job_id, JobImage.position)
        .limit(LIMIT)
        .with_for_update(skip_locked=True)
    ).all()
    lock_jobs(session, (row.job_id for row in rows))
    lost = {(r.job_id, r.position): r.lost + (r.state == ImageState.RUNNING) for r in rows}
    _free(session, [key for key, times in lost.items() if times < max_attempts])
    changed = _give_up(session, [k for k, times in lost.items() if times >= max_attempts], lost)
    return changed | stop_queued(session, [job_id for job_id, _ in lost])


def _free(session: Session, keys: Sequence[Key]) -> None:
    if keys:
        session.execute(
            update(JobImage)
            .where(among(keys))
            .values(
                state=ImageState.QUEUED,
                lost=JobImage.lost + 1,
                lease_until=None,
                published_at=None,
            )
            .execution_options(synchronize_session=False)
        )


def _give_up(session: Session, keys: Sequence[Key], lost: dict[Key, int]) -> dict[UUID, JobState]:
    for job_id, position in keys:
        times = lost[job_id, position]
        error = WorkerLost(f"{times} workers in a row were lost while they held this picture.")
        session.execute(
            update(JobImage)
            .where(JobImage.job_id == job_id, JobImage.position == position)
            .values(
                state=ImageState.FAILED,
                lost=times,
                error_code=error.code,
                error_detail=error.detail,
                lease_until=None,
                finished_at=now(),
            )
            .execution_options(synchronize_session=False)
        )
    return count(
        session,
        {
            job_id: Ended(failed=[position for _, position in group])
            for job_id, group in groupby(keys, lambda key: key[0])
        },
    )
