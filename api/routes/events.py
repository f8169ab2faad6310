"""A job as a stream of events."""

import re
from uuid import UUID

from flask import Blueprint, Response, request

from api import parameters
from api.current import caller, services
from api.finding import read
from api.schemas import Accepted, Urls
from api.sockets import has_left
from api.streams import MEDIA_TYPE, follow
from captioner.errors import InvalidRequest, ServiceError
from captioner.waiting import Watch
from models import JobState

blueprint = Blueprint("events", __name__)


@blueprint.get("/captionImage/<job_id>/events")
def stream(job_id: str) -> Response:
    """The job's events after `Last-Event-ID`; 204 when there will be none."""
    parameters.allow(request, "after")
    after = _last_seen()
    job = read(job_id).job
    if JobState(job.state).final and after >= job.event_seq:
        return Response(status=204)  # so that a browser does not come back
    return _stream(watch(job.id), after=after)


def accepted_stream(job_id: UUID, status: JobState) -> Response:
    """The events of a job that a request has made, or has found by its key, from its beginning."""
    try:
        place = watch(job_id)
    except ServiceError as error:  # the job exists all the same
        error.extra.update(id=str(job_id), urls=Urls.of(job_id).model_dump(by_alias=True))
        raise
    told = Accepted.of(job_id, status)
    response = _stream(place, after=0, first=told)
    response.headers["Location"] = told.urls.self_
    return response


def watch(job_id: UUID, *, new: bool = False) -> Watch:
    """A place in the waiting room for this request: see there. Raises `TooManyWaiters`."""
    client = request.environ.get("gunicorn.socket")
    return services().waiting_room.watch(
        job_id, has_left=lambda: has_left(client), new=new, owner=caller().owner
    )


def _stream(place: Watch, *, after: int, first: Accepted | None = None) -> Response:
    response = Response(
        follow(services(), place, after=after, first=first), content_type=MEDIA_TYPE
    )
    response.call_on_close(place.close)
    response.headers["X-Accel-Buffering"] = "no"  # nginx would gather events
    return response


def _last_seen() -> int:
    text = request.headers.get("Last-Event-ID") or request.args.get("after") or "0"
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise InvalidRequest(f"Last-Event-ID: {text[:64]!r} is not the number of an event.")
    return int(text)
