"""Submit pictures, look at jobs, or wait for one."""

from urllib.parse import urlencode
from uuid import UUID

from flask import Blueprint, Response, jsonify, request
from pydantic import BaseModel

from api import parameters
from api.bodies import read_submission
from api.current import services
from api.errors import STATUS, problem
from api.schemas import Accepted, Finished, JobSummary, JobView, Urls, faults
from captioner import queries
from captioner.errors import JobNotFound, TooManyWaiters
from captioner.queries import JobRead
from models import JobState

blueprint = Blueprint("captions", __name__)


@blueprint.post("/captionImage")
def submit() -> Response:
    """Store a job and answer at once."""
    parameters.allow(request)
    return _accepted(_submit())


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
    return jsonify(_body(JobView.whole(_read(_known_id(job_id)))))


@blueprint.post("/captionImageBlocking")
def submit_and_wait() -> Response:
    """Store a job and wait: answers with its captions, or with the job if it takes longer."""
    parameters.allow(request, "timeout")
    wait_s = parameters.wait_s(request, services().settings)
    job_id = _submit()
    try:
        with services().waiting_room.place():
            ended = services().waiting_room.wait(
                job_id, is_final=lambda: _is_final(job_id), timeout_s=wait_s
            )
    except TooManyWaiters as error:
        error.extra.update(id=str(job_id), urls=_body(Urls.of(job_id)))
        raise
    if not ended:
        return _accepted(job_id, msg="Job still running; look at its address.")
    return _finished(_read(job_id))


def _submit() -> UUID:
    return services().intake.submit(read_submission(request, settings=services().settings))


def _is_final(job_id: UUID) -> bool:
    with services().database.read() as session:
        return queries.is_final(session, job_id)


def _known_id(text: str) -> UUID:
    try:
        return parameters.job_id(text)
    except Exception as error:
        raise _not_found(text) from error


def _read(job_id: UUID) -> JobRead:
    with services().database.read() as session:
        read = queries.job(session, job_id)
    if read is None:
        raise _not_found(str(job_id))
    return read


def _not_found(text: str) -> JobNotFound:
    return JobNotFound(f"There is no job with the id {text[:64]!r}.")


def _accepted(job_id: UUID, *, msg: str = "Job Started!") -> Response:
    status = JobState.QUEUED
    if msg != "Job Started!":
        status = JobState(_read(job_id).job.state)
    urls = Urls.of(job_id)
    response = jsonify(_body(Accepted(id=job_id, msg=msg, status=status, urls=urls)))
    response.status_code = 202
    response.headers["Location"] = urls.self_
    return response


def _finished(read: JobRead) -> Response:
    """200 with what there is; a job without any caption is an error, never a success."""
    why, urls = faults(read), Urls.of(read.job.id)
    if read.job.state == JobState.FAILED:
        # Where one of several reasons is ours, the caller is not told that it was theirs.
        first = max(why, key=lambda each: STATUS.get(each.code, 500) >= 500)
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


def _next_page(last: UUID) -> str:
    kept = [(name, value) for name, value in request.args.items(multi=True) if name != "cursor"]
    return f"{request.path}?{urlencode([*kept, ('cursor', str(last))])}"


def _body(view: BaseModel) -> dict[str, object]:
    return view.model_dump(mode="json", by_alias=True)
