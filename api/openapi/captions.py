"""Submitting pictures, and looking at jobs."""

from api.forms import SubmitForm, SubmitJson
from api.openapi import deleting
from api.openapi.events import stream
from api.openapi.parts import Json, answer, header, job_id, problems, query, ref
from api.parameters import MAX_LIMIT
from api.schemas import Accepted, Finished, JobSummary, JobView
from models import JobState

REPLAYED = "Idempotency-Replayed"


def paths() -> Json:
    """Submitting pictures, and looking at jobs."""
    return {
        "/captionImage": {"post": _submit(), "get": _listing()},
        "/captionImage/{id}": {"get": _job(), "delete": deleting.delete()},
        "/captionImageBlocking": {"post": _blocking()},
    }


def _submit() -> Json:
    return {
        "operationId": "submit",
        "summary": "Submit pictures; answers at once with a job id, or with a stream of events",
        "parameters": headers(),
        "requestBody": _submission(),
        "responses": {
            "200": stream(),
            "202": answer("The job is stored.", ref(Accepted), headers=("Location", REPLAYED)),
            **submit_problems(),
        },
    }


def _listing() -> Json:
    states = {"type": "array", "items": {"enum": [state.value for state in JobState]}}
    limits = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": MAX_LIMIT}
    identifier = {"type": "string", "format": "uuid"}
    return {
        "operationId": "listJobs",
        "summary": "List jobs, newest first",
        "parameters": [
            query("id", "Only these jobs.", {"type": "array", "items": identifier}),
            query("status", "Only jobs in these states.", states),
            query("limit", "How many at most.", limits),
            query("cursor", "Only jobs older than this one; see the Link header.", identifier),
        ],
        "responses": {
            "200": answer(
                "The jobs; Link leads to the next page.",
                {"type": "array", "items": ref(JobSummary)},
                headers=("Link",),
            ),
            **problems(s422="A parameter is wrong.", s503="The database is away."),
        },
    }


def _job() -> Json:
    return {
        "operationId": "getJob",
        "summary": "Look at a job",
        "parameters": [job_id()],
        "responses": {
            "200": answer("The job.", ref(JobView)),
            **problems(
                s404="There is no such job.",
                s410="The job was deleted; the detail says when and why.",
                s422="A parameter is unknown.",
                s503="The database is away.",
            ),
        },
    }


def _blocking() -> Json:
    return {
        "operationId": "submitAndWait",
        "summary": "Submit pictures and wait for their captions",
        "parameters": [
            query("timeout", "Seconds to wait.", {"type": "number", "minimum": 0}),
            header("Prefer", "'wait=30' asks to wait 30 seconds.", {"type": "string"}),
            *headers(),
        ],
        "requestBody": _submission(),
        "responses": {
            "200": answer(
                "At least one picture has its caption.", ref(Finished), headers=(REPLAYED,)
            ),
            "202": answer(
                "It takes longer; the job goes on.",
                ref(Accepted),
                headers=("Location", REPLAYED),
            ),
            **submit_problems(),
            **problems(
                s409="The job was canceled, or the first request with this key is being stored.",
                s500="The pictures could not be captioned; 'errors' says why.",
                s504="The job's deadline, from Cancel-After, passed before any caption.",
            ),
        },
    }


def headers() -> list[Json]:
    """What every route that submits heeds."""
    key = "Of the caller's choice: a second request with the same key gives the same job."
    anew = "'no-cache': no caption that was made before, for an earlier request."
    seconds = "Seconds after which the job's work stops, done or not."
    return [
        header("Idempotency-Key", key, {"type": "string", "minLength": 1, "maxLength": 255}),
        header("Cancel-After", seconds, {"type": "number", "exclusiveMinimum": 0}),
        header("Cache-Control", anew, {"type": "string"}),
    ]


def _submission() -> Json:
    return {
        "required": True,
        "content": {
            "application/json": {"schema": ref(SubmitJson)},
            "multipart/form-data": {"schema": ref(SubmitForm)},
        },
    }


def submit_problems() -> Json:
    """What may be wrong with a submission."""
    return problems(
        s400="The body or the Idempotency-Key cannot be read, a lone picture is not base64, or a "
        "wish about styles is wrong.",
        s409="The first request with this Idempotency-Key is still being stored.",
        s410="The job that this Idempotency-Key stands for was deleted.",
        s413="The body, or a lone picture, is too large; or there are too many pictures.",
        s415="The content type, or a lone picture's format, is not supported.",
        s422="A field is wrong, or every picture is; 'errors' names each.",
        s429="Too many pictures are waiting. Try again after Retry-After seconds.",
        s503="A part of the service is away. Try again after Retry-After seconds.",
    )
