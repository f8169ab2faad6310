"""Stop a job, or try its failed pictures again."""

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from flask import Blueprint, Response, jsonify, request
from sqlalchemy.orm import Session

from api import parameters
from api.current import caller, services
from api.finding import foresee, known_id, read
from api.schemas import JobView
from captioner import admission, catalog, dispatch, forecast, jobs, queries
from captioner.errors import JobNotFound
from models import Job, JobState

blueprint = Blueprint("controls", __name__)
Answer = TypeVar("Answer")


@blueprint.post("/captionImage/<job_id>/cancel")
def cancel(job_id: str) -> Response:
    """Stop the job: 200 once it is canceled, 202 while a worker still holds one of its images."""
    parameters.allow(request)
    known = known_id(job_id)
    state = _change(known, lambda session: jobs.cancel(session, known))
    return _job(known, status=202 if state is JobState.CANCELING else 200)


@blueprint.post("/captionImage/<job_id>/retry")
def retry(job_id: str) -> Response:
    """Queue the job's failed and canceled images again, or only the failed ones."""
    parameters.allow(request, "only")
    only_failed = parameters.only_failed(request)
    known = known_id(job_id)
    positions = _change(known, lambda session: _retry(session, known, only_failed))
    model, size = read(known).job.model, services().settings.message_images
    services().publisher.publish(dispatch.parcels_of(known, model, positions, size))
    return _job(known, status=202)


def _retry(session: Session, job_id: UUID, only_failed: bool) -> list[int]:
    positions = jobs.retry(session, job_id, only_failed=only_failed)
    job, settings = session.get_one(Job, job_id), services().settings
    catalog.find(job.model, settings)  # not served: it would wait for ever
    pace_s = forecast.pace_s(session, job.model, heartbeat_s=settings.heartbeat_s)
    admission.admit(
        session, settings, caller=job.caller, images=len(positions), pace_s=pace_s, queued=True
    )
    return positions


def _change(job_id: UUID, change: Callable[[Session], Answer]) -> Answer:
    """Change the job, and tell those who wait for it. A job that is gone is told as in `read`."""
    try:
        with services().database.write() as session:
            queries.refuse_others(session, job_id, owner=caller().sees)
            answer = change(session)
    except JobNotFound:
        read(job_id)
        raise
    services().herald.announce([job_id])
    return answer


def _job(job_id: UUID, *, status: int) -> Response:
    found = read(job_id)
    view = JobView.whole(found, foresee(found))
    response = jsonify(view.model_dump(mode="json", by_alias=True))
    response.status_code = status
    response.headers["Location"] = view.urls.self_
    return response
