"""Images whose worker was lost while they were styled, or whose styler no worker has any more."""

from collections.abc import Collection, Sequence
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session

from captioner.clock import now, now_plus
from captioner.errors import CaptionerError, StylerUnavailable, WorkerLost
from captioner.jobs.claiming import among, lock_jobs
from captioner.jobs.controlling import stop_queued
from captioner.jobs.counting import Ended, count
from captioner.jobs.keys import Key
from captioner.jobs.plain import WAITS, leave_plain
from captioner.styles import Styler
from models import ImageState, JobImage, JobState

LIMIT = 1_000
"""Images that one look takes up."""


def take_back_styling(
    session: Session, *, max_attempts: int, absent: Collection[Styler], wait_s: float
) -> dict[UUID, JobState]:
    """Free images whose lease for styling ran out. Those without attempts left succeed with their
    plain captions, and so do those that have waited for `wait_s` seconds for one of the `absent`:
    stylers that no worker has had for as long. How long others wait is no matter.

    Returns the jobs changed, and how.
    """
    expired = and_(JobImage.state == ImageState.STYLING, JobImage.lease_until < now())
    forgotten = and_(
        WAITS, JobImage.styler.in_(map(str, absent)), JobImage.published_at < now_plus(-wait_s)
    )
    rows = session.execute(
        select(JobImage.job_id, JobImage.position, JobImage.lost, JobImage.lease_until)
        .where(or_(expired, forgotten))
        .order_by(JobImage.job_id, JobImage.position)
        .limit(LIMIT)
        .with_for_update(skip_locked=True)
    ).all()
    lock_jobs(session, (row.job_id for row in rows))
    lost = [row for row in rows if row.lease_until is not None]
    spent = [_key(row) for row in lost if row.lost + 1 >= max_attempts]
    again = [_key(row) for row in lost if row.lost + 1 < max_attempts]
    waited = [_key(row) for row in rows if row.lease_until is None]
    if again:
        session.execute(
            update(JobImage)
            .where(among(again))
            .values(lost=JobImage.lost + 1, lease_until=None)
            .execution_options(synchronize_session=False)
        )
    left = _left(session, spent, WorkerLost("Workers were lost while they had it styled."))
    left |= _left(session, waited, StylerUnavailable(f"No worker had its styler in {wait_s:g} s."))
    return left | stop_queued(session, [job_id for job_id, _ in again])


def _key(row: Any) -> Key:
    return row.job_id, row.position


def _left(session: Session, keys: Sequence[Key], why: CaptionerError) -> dict[UUID, JobState]:
    if not keys:
        return {}
    leave_plain(session, keys, why)
    return count(
        session,
        {
            job_id: Ended(succeeded=[position for _, position in group])
            for job_id, group in groupby(keys, lambda key: key[0])
        },
    )
