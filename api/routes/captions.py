"""Submit pictures, look at jobs, or wait for one."""

from urllib.parse import urlencode
from uuid import UUID

from flask import Blueprint, Response, jsonify, request

from api import parameters
from api.blocking import accepted, body, failure, still_running, wait
from api.blocking import submit as submit_new
from api.bodies import read_submission
from api.current import caller, services
from api.delivery import forget_when_sent
from api.finding import foresee, read
from api.image_view import faults, indexed_styles
from api.routes.events import accepted_stream
from api.schemas import Finished, JobSummary, JobView, Urls, beyond, unasked
from api.streams import MEDIA_TYPE
from captioner import queries
from captioner.queries import JobRead
from captioner.submission import Submission
from models import JobState

blueprint = Blueprint("captions", __name__)


@blueprint.post("/captionImage")
def submit() -> Response:
    """Store a job and answer at once."""
    parameters.allow(request)
    job_id, state = submit_new(_read)
    if MEDIA_TYPE in request.accept_mimetypes.values():
        return accepted_stream(job_id, state)
    return accepted(job_id, state)


@blueprint.get("/captionImage")
def listing() -> Response:
    """Jobs, newest first."""
    parameters.allow(request, "id", "status", "limit", "cursor")
    limit = parameters.limit(request)
    cursor = request.args.get("cursor")
    with services().database.snapshot() as session:
        found = queries.page(
            session,
            ids=parameters.job_ids(request),
            states=parameters.states(request),
            before=None if cursor is None else parameters.job_id(cursor, name="cursor"),
            owner=caller().sees,
            limit=limit,
        )
        response = jsonify([body(JobSummary.of(listed)) for listed in found])
    if len(found) == limit:
        response.headers["Link"] = f'<{_next_page(found[-1].job.id)}>; rel="next"'
    return response


@blueprint.get("/captionImage/<job_id>")
def job(job_id: str) -> Response:
    """The whole job."""
    parameters.allow(request)
    found = read(job_id)
    view = JobView.whole(found, foresee(found))
    return forget_when_sent(jsonify(body(view)), found.job)


@blueprint.post("/captionImageBlocking")
def submit_and_wait() -> Response:
    """Store a job and wait: answers with its captions, or with the job if it takes longer."""
    parameters.allow(request, "timeout")
    wait_s = parameters.wait_s(request, services().settings)
    job_id, state = submit_new(_read)
    ended = wait(job_id, state, wait_s=wait_s)
    if isinstance(ended, JobState):
        return still_running(job_id, ended)
    return forget_when_sent(answered(ended), ended.job)


def _read() -> Submission:
    return read_submission(request, settings=services().settings)


def answered(read: JobRead) -> Response:
    """200 with what there is; a job without any caption is an error, never a success."""
    if read.job.succeeded_count == 0:
        return failure(read)
    finished = Finished(
        id=read.job.id,
        status=JobState(read.job.state),
        result=[image.caption for image in read.images],
        errors=faults(read),
        urls=Urls.of(read.job.id),
        styled=indexed_styles(read),
        **beyond(read),
    )
    return jsonify(finished.model_dump(mode="json", by_alias=True, exclude=unasked(read)))


def _next_page(last: UUID) -> str:
    kept = [(name, value) for name, value in request.args.items(multi=True) if name != "cursor"]
    return f"{request.path}?{urlencode([*kept, ('cursor', str(last))])}"
