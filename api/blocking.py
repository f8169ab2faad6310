"""What routes that submit have in common: make a job, wait for its end, say what came of it."""

from collections.abc import Callable
from uuid import UUID

from flask import Response, after_this_request, jsonify, request
from pydantic import BaseModel

from api.current import room, services
from api.errors import STATUS, problem
from api.finding import read
from api.image_view import IndexedFault, faults
from api.routes.events import watch
from api.schemas import Accepted, Urls
from captioner.errors import Canceled, DeadlinePassed, ServiceError
from captioner.queries import JobRead
from captioner.submission import Submission
from models import JobState


def submit(make: Callable[[], Submission]) -> tuple[UUID, JobState]:
    """The job of the submission that `make` reads from the request, new or not.

    Raises what intake raises, and `JobDeleted` for a job that was replayed, and is gone.
    """
    with room().taken_for(request):
        receipt = services().intake.submit(make())
    if not receipt.replayed:
        return receipt.job_id, receipt.state
    after_this_request(_mark_as_replayed)
    return receipt.job_id, JobState(read(receipt.job_id).job.state)


def wait(job_id: UUID, state: JobState, *, wait_s: float) -> JobRead | JobState:
    """The job once it has ended, or its state when that takes longer than `wait_s`.

    What it raises names the job, which exists all the same.
    """
    try:
        if not state.final:
            with watch(job_id, new=True) as place:
                seen = place.wait_for_end(timeout_s=wait_s)
            if seen is None or not seen.final:
                return (seen and seen.state) or JobState.QUEUED
        return read(job_id)
    except ServiceError as error:
        error.extra.update(id=str(job_id), urls=body(Urls.of(job_id)))
        raise


def accepted(job_id: UUID, status: JobState, *, msg: str | None = None) -> Response:
    """202: the job is stored, and goes on."""
    told = Accepted.of(job_id, status, msg=msg)
    response = jsonify(body(told))
    response.status_code = 202
    response.headers["Location"] = told.urls.self_
    return response


def still_running(job_id: UUID, status: JobState) -> Response:
    """202, of a call that waited for the job as long as it may."""
    return accepted(job_id, status, msg="Job still running; look at its address.")


def failure(read: JobRead) -> Response:
    """The answer about a job that has ended without any caption: an error, never a success."""
    why, urls = faults(read), Urls.of(read.job.id)
    first = reason(read)
    response = problem(
        first.code,
        status=STATUS.get(first.code, 500),
        title=first.title,
        detail=first.detail or first.title,
        id=str(read.job.id),
        errors=[body(each) for each in why],
        urls=body(urls),
    )
    response.headers["Location"] = urls.self_
    return response


def reason(read: JobRead) -> IndexedFault:
    """Which of its images' faults the whole answer gives, where no image has a caption."""
    why = faults(read)
    ended = {JobState.CANCELED: Canceled.code, JobState.EXPIRED: DeadlinePassed.code}
    code = ended.get(JobState(read.job.state))
    for each in why:
        if each.code == code:
            return each
    # Where one of several reasons is ours, the caller is not told that it was theirs.
    return max(why, key=lambda each: STATUS.get(each.code, 500) >= 500)


def body(view: BaseModel) -> dict[str, object]:
    """A view as JSON takes it."""
    return view.model_dump(mode="json", by_alias=True)


def _mark_as_replayed(response: Response) -> Response:
    response.headers["Idempotency-Replayed"] = "true"
    return response
