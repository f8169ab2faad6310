"""What the paths are put together from."""

from typing import Any

from pydantic import BaseModel

Json = dict[str, Any]
"""A piece of the document."""
PROBLEM = {"$ref": "#/components/schemas/Problem"}


def ref(model: type[BaseModel]) -> Json:
    """A schema by name."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def answer(text: str, schema: Json, *, headers: tuple[str, ...] = ()) -> Json:
    """An answer with a JSON body."""
    answer: Json = {"description": text, "content": {"application/json": {"schema": schema}}}
    if headers:
        answer["headers"] = {name: {"schema": {"type": "string"}} for name in headers}
    return answer


def problems(**texts: str) -> Json:
    """Problem documents by status: `s404="…"`."""
    return {
        status.removeprefix("s"): {
            "description": text,
            "content": {"application/problem+json": {"schema": PROBLEM}},
        }
        for status, text in texts.items()
    }


def query(name: str, text: str, schema: Json) -> Json:
    """A query parameter."""
    return {"name": name, "in": "query", "description": text, "schema": schema}


def header(name: str, text: str, schema: Json) -> Json:
    """A request header."""
    return {"name": name, "in": "header", "description": text, "schema": schema}


def job_id() -> Json:
    """The path parameter that names a job."""
    identifier = {"type": "string", "format": "uuid"}
    return {"name": "id", "in": "path", "required": True, "schema": identifier}
