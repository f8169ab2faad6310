"""Keeping images while work on them goes on."""

from collections.abc import Iterable

from sqlalchemy import Float, bindparam, select, update
from sqlalchemy.orm import Session

from captioner.clock import now_plus
from captioner.jobs.claiming import HELD
from captioner.jobs.keys import listed, named
from captioner.work import Claim
from models import CancelCause, Job, JobImage, JobState


def renew(session: Session, claims: Iterable[Claim], *, lease_s: float) -> None:
    """Push back the end of the leases that are still held."""
    attempts = {(claim.job_id, claim.position): claim.attempt for claim in claims}
    if not attempts:
        return
    connection = session.connection()
    rows = connection.execute(_HELD, {"keys": listed(attempts)})
    mine = [
        (row.job_id, row.position)
        for row in rows
        if row.attempt == attempts[row.job_id, row.position]
    ]
    connection.execute(_RENEW, {"keys": listed(mine), "lease": lease_s})


def held_no_longer(session: Session, claims: Iterable[Claim]) -> dict[Claim, CancelCause | None]:
    """Those of the claims on which work is in vain, and why their job is to stop.

    No cause: another attempt has taken over, or the image is not there any more. One statement.
    """
    claims = list(claims)
    rows = session.execute(_RUNNING, {"jobs": list({claim.job_id for claim in claims})})
    running = {(row.job_id, row.position, row.attempt): row for row in rows}
    found = {claim: running.get((claim.job_id, claim.position, claim.attempt)) for claim in claims}
    return {
        claim: CancelCause(row.cancel_cause or CancelCause.ASKED) if row else None
        for claim, row in found.items()
        if row is None or row.state == JobState.CANCELING
    }


# Made once: to make a statement costs more than to run it, and these run twice a second.
_RUNNING = (
    select(JobImage.job_id, JobImage.position, JobImage.attempt, Job.state, Job.cancel_cause)
    .join(Job, Job.id == JobImage.job_id)
    .where(JobImage.job_id.in_(bindparam("jobs", expanding=True)), HELD)
)
_HELD = (
    select(JobImage.job_id, JobImage.position, JobImage.attempt)
    .where(named(), HELD)
    .order_by(JobImage.job_id, JobImage.position)
    .with_for_update()
)
_RENEW = (
    update(JobImage).where(named()).values(lease_until=now_plus(bindparam("lease", type_=Float)))
)
