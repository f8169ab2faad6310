"""The OpenAPI 3.1 document, made from the schemas that validate."""

from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.parameters import MAX_LIMIT
from api.schemas import (
    Accepted,
    Alive,
    Finished,
    JobSummary,
    JobView,
    Problem,
    Ready,
    SubmitForm,
    SubmitJson,
)
from models import JobState

Json = dict[str, Any]
ANSWERS = (Accepted, Alive, Finished, JobSummary, JobView, Problem, Ready)
BODIES = (SubmitForm, SubmitJson)


def document() -> Json:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "captioner",
            "version": version("captioner"),
            "description": "Pictures in, captions out, as durable jobs.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": {**_caption_paths(), **_health_paths()},
        "components": {"schemas": _schemas()},
    }


def _schemas() -> Json:
    chosen: list[tuple[type[BaseModel], Any]] = [
        *((model, "serialization") for model in ANSWERS),
        *((model, "validation") for model in BODIES),
    ]
    _, made = models_json_schema(chosen, ref_template="#/components/schemas/{model}")
    schemas: Json = made["$defs"]
    return schemas


def _ref(model: type[BaseModel]) -> Json:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _answer(text: str, schema: Json, *, headers: tuple[str, ...] = ()) -> Json:
    answer: Json = {"description": text, "content": {"application/json": {"schema": schema}}}
    if headers:
        answer["headers"] = {name: {"schema": {"type": "string"}} for name in headers}
    return answer


def _problems(**texts: str) -> Json:
    return {
        status.removeprefix("s"): {
            "description": text,
            "content": {"application/problem+json": {"schema": _ref(Problem)}},
        }
        for status, text in texts.items()
    }


def _query(name: str, text: str, schema: Json) -> Json:
    return {"name": name, "in": "query", "description": text, "schema": schema}


def _submission() -> Json:
    return {
        "required": True,
        "content": {
            "application/json": {"schema": _ref(SubmitJson)},
            "multipart/form-data": {"schema": _ref(SubmitForm)},
        },
    }


def _submit_problems() -> Json:
    return _problems(
        s400="The body cannot be read, or a lone picture is not base64.",
        s413="The body, or a lone picture, is too large; or there are too many pictures.",
        s415="The content type, or a lone picture's format, is not supported.",
        s422="A field is wrong, or every picture is; 'errors' names each.",
        s503="A part of the service is away. Try again after Retry-After seconds.",
    )


def _caption_paths() -> Json:
    return {
        "/captionImage": {"post": _submit(), "get": _listing()},
        "/captionImage/{id}": {"get": _job()},
        "/captionImageBlocking": {"post": _blocking()},
    }


def _submit() -> Json:
    return {
        "operationId": "submit",
        "summary": "Submit pictures; answers at once with a job id",
        "requestBody": _submission(),
        "responses": {
            "202": _answer("The job is stored.", _ref(Accepted), headers=("Location",)),
            **_submit_problems(),
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
            _query("id", "Only these jobs.", {"type": "array", "items": identifier}),
            _query("status", "Only jobs in these states.", states),
            _query("limit", "How many at most.", limits),
            _query("cursor", "Only jobs older than this one; see the Link header.", identifier),
        ],
        "responses": {
            "200": _answer(
                "The jobs; Link leads to the next page.",
                {"type": "array", "items": _ref(JobSummary)},
                headers=("Link",),
            ),
            **_problems(s422="A parameter is wrong.", s503="The database is away."),
        },
    }


def _job() -> Json:
    identifier = {"type": "string", "format": "uuid"}
    return {
        "operationId": "getJob",
        "summary": "Look at a job",
        "parameters": [{"name": "id", "in": "path", "required": True, "schema": identifier}],
        "responses": {
            "200": _answer("The job.", _ref(JobView)),
            **_problems(
                s404="There is no such job.",
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
            _query("timeout", "Seconds to wait.", {"type": "number", "minimum": 0}),
            {
                "name": "Prefer",
                "in": "header",
                "description": "'wait=30' asks to wait 30 seconds.",
                "schema": {"type": "string"},
            },
        ],
        "requestBody": _submission(),
        "responses": {
            "200": _answer("At least one picture has its caption.", _ref(Finished)),
            "202": _answer(
                "It takes longer; the job goes on.", _ref(Accepted), headers=("Location",)
            ),
            **_submit_problems(),
            **_problems(s500="The pictures could not be captioned; 'errors' says why."),
        },
    }


def _health_paths() -> Json:
    return {
        "/healthz": {
            "get": {
                "operationId": "alive",
                "summary": "Is this process alive?",
                "responses": {"200": _answer("It is.", _ref(Alive))},
            }
        },
        "/readyz": {
            "get": {
                "operationId": "ready",
                "summary": "Can a caption be had now?",
                "responses": {
                    "200": _answer("Yes.", _ref(Ready)),
                    "503": _answer("No; 'reasons' says why.", _ref(Ready)),
                },
            }
        },
    }
