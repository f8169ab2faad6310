"""Jobs as rows, for tests of what happens to them."""

from uuid import UUID

from sqlalchemy import update
from sqlalchemy.orm import Session

from captioner import jobs, queries
from captioner.clock import now_plus
from captioner.database import Database
from captioner.jobs.claiming import among, locked
from captioner.work import Claim
from models import JobImage, JobState


def claim(session: Session, job_id: UUID, *positions: int, again: bool = False) -> list[Claim]:
    """Claims the next images of the job's model, which is the job's own, one for each position."""
    return jobs.claim(
        session,
        model=model_of(job_id),
        limit=len(positions),
        worker="w",
        lease_s=60,
        max_attempts=3,
        retry_s=3600,
        again=(job_id, positions) if again else None,
    )


def model_of(job_id: UUID) -> str:
    """A model for this one job, so that tests on one database do not take each other's images."""
    return f"of-{job_id}"


def state(database: Database, job_id: UUID) -> JobState:
    with database.read() as session:
        found = queries.job(session, job_id)
        assert found is not None
        return JobState(found.job.state)


def expire(database: Database, job_id: UUID) -> None:
    with database.write() as session:
        session.execute(
            update(JobImage)
            .where(among(locked(session, JobImage.job_id == job_id)))
            .values(lease_until=now_plus(-1))
        )
