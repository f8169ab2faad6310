"""Submit pictures, look at jobs, or wait for one."""

from urllib.parse import urlencode
from uuid import UUID

from flask import Blueprint, Response, after_this_request, jsonify, request
from pydantic import BaseModel

from api import parameters
from api.bodies import read_submission
from api.current import room, services
from api.delivery import forget_when_sent
from api.errors import STATUS, problem
from api.finding import foresee, read
from api.image_view import IndexedFault, faults
from api.routes.events import accepted_stream, watch
from api.schemas import Accepted, Finished, JobSummary, JobView, Urls
from api.streams import MEDIA_TYPE
from captioner import queries
from captioner.errors import Canceled, DeadlinePassed, ServiceError
from captioner.queries import JobRead
from models import JobState

blueprint = Blueprint("captions", __name__)


@blueprint.post("/captionImage")
def submit() -> Response:
    """Store a job and answer at once."""
    parameters.allow(request)
    job_id, state = _submit()
    if MEDIA_TYPE in request.accept_mimetypes.values():
        return accepted_stream(job_id, state)
    return _accepted(job_id, state)


@blueprint.get("/captionImage")
def listing() -> Response:
    """Jobs, newest first."""
    parameters.allow(request, "id", "status", "limit", "cursor")
    limit = parameters.limit(request)
    cursor = request.args.get("cursor")
    with services().database.read() as session:
        found = queries.page(
            session,
            ids=parameters.job_ids(request),
            states=parameters.states(request),
            before=parameters.job_id(cursor, name="cursor") if cursor else None,
            limit=limit,
        )
        response = jsonify([_body(JobSummary.of(listed)) for listed in found])
    if len(found) == limit:
        response.headers["Link"] = f'<{_next_page(found[-1].job.id)}>; rel="next"'
    return response


@blueprint.get("/captionImage/<job_id>")
def job(job_id: str) -> Response:
    """The whole job."""
    parameters.allow(request)
    found = read(job_id)
    view = JobView.whole(found, foresee(found))
    return forget_when_sent(jsonify(_body(view)), found.job)


@blueprint.post("/captionImageBlocking")
def submit_and_wait() -> Response:
    """Store a job and wait: answers with its captions, or with the job if it takes longer."""
    parameters.allow(request, "timeout")
    wait_s = parameters.wait_s(request, services().settings)
    job_id, state = _submit()
    try:
        return _ended(job_id) if state.final else _after_waiting(job_id, wait_s)
    except ServiceError as error:  # the job exists all the same
        error.extra.update(id=str(job_id), urls=_body(Urls.of(job_id)))
        raise


def _after_waiting(job_id: UUID, wait_s: float) -> Response:
    with watch(job_id) as place:
        seen = place.wait_for_end(timeout_s=wait_s)
    if seen is not None and seen.final:
        return _ended(job_id)
    state = (seen and seen.state) or JobState.QUEUED
    return _accepted(job_id, state, msg="Job still running; look at its address.")


def _ended(job_id: UUID) -> Response:
    found = read(job_id)
    return forget_when_sent(_finished(found), found.job)


def _submit() -> tuple[UUID, JobState]:
    """The job of the request, new or not. Raises `JobDeleted` for one that was, and is gone."""
    with room().taken_for(request):
        receipt = services().intake.submit(read_submission(request, settings=services().settings))
    if not receipt.replayed:
        return receipt.job_id, receipt.state
    after_this_request(_mark_as_replayed)
    return receipt.job_id, JobState(read(receipt.job_id).job.state)


def _mark_as_replayed(response: Response) -> Response:
    response.headers["Idempotency-Replayed"] = "true"
    return response


def _accepted(job_id: UUID, status: JobState, *, msg: str | None = None) -> Response:
    urls = Urls.of(job_id)
    msg = msg or ("Job finished!" if status.final else "Job Started!")
    response = jsonify(_body(Accepted(id=job_id, msg=msg, status=status, urls=urls)))
    response.status_code = 202
    response.headers["Location"] = urls.self_
    return response


def _finished(read: JobRead) -> Response:
    """200 with what there is; a job without any caption is an error, never a success."""
    why, urls = faults(read), Urls.of(read.job.id)
    if read.job.succeeded_count == 0:
        first = _reason(JobState(read.job.state), why)
        response = problem(
            first.code,
            status=STATUS.get(first.code, 500),
            title=first.title,
            detail=first.detail or first.title,
            id=str(read.job.id),
            errors=[_body(each) for each in why],
            urls=_body(urls),
        )
        response.headers["Location"] = urls.self_
        return response
    return jsonify(
        _body(
            Finished(
                id=read.job.id,
                status=JobState(read.job.state),
                result=[image.caption for image in read.images],
                errors=why,
                urls=urls,
            )
        )
    )


def _reason(state: JobState, why: list[IndexedFault]) -> IndexedFault:
    """Which of the reasons the whole answer gives."""
    code = {JobState.CANCELED: Canceled.code, JobState.EXPIRED: DeadlinePassed.code}.get(state)
    for each in why:
        if each.code == code:
            return each
    # Where one of several reasons is ours, the caller is not told that it was theirs.
    return max(why, key=lambda each: STATUS.get(each.code, 500) >= 500)


def _next_page(last: UUID) -> str:
    kept = [(name, value) for name, value in request.args.items(multi=True) if name != "cursor"]
    return f"{request.path}?{urlencode([*kept, ('cursor', str(last))])}"


def _body(view: BaseModel) -> dict[str, object]:
    return view.model_dump(mode="json", by_alias=True)
