"""The job that a path names."""

from uuid import UUID

from api import parameters
from api.current import caller, services
from captioner import forecast, queries
from captioner.errors import InvalidRequest, JobNotFound
from captioner.forecast import Forecast
from captioner.queries import JobRead


def known_id(text: str) -> UUID:
    """The id in a path. Raises `JobNotFound` for what is no id."""
    try:
        return parameters.job_id(text)
    except InvalidRequest as error:
        raise not_found(text) from error


def read(job_id: UUID | str) -> JobRead:
    """The job. Raises `JobNotFound`, or `JobDeleted` for one that was here.

    A job of others is not found, by the same statements and in the same words as one that is not.
    """
    found = known_id(job_id) if isinstance(job_id, str) else job_id
    owner = caller().sees
    with services().database.snapshot() as session:
        read = queries.job(session, found, owner=owner)
        if read is not None:
            return read
        raise queries.absent(session, found, owner=owner)


def not_found(text: str) -> JobNotFound:
    """That no job has this id."""
    return JobNotFound(f"There is no job with the id {text[:64]!r}.")


def foresee(read: JobRead) -> Forecast | None:
    """How long the job will take; `None` once it is final, or is to stop."""
    heartbeat_s = services().settings.heartbeat_s
    with services().database.read() as session:
        pace_s = forecast.pace_s(session, read.job.model, heartbeat_s=heartbeat_s)
        return forecast.of_job(session, read, pace_s=pace_s)
