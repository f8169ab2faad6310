"""What became of one picture, and the two shapes in which it is written down."""

import json
from dataclasses import dataclass
from typing import Any

from cli.escape import cell, json_line
from cli.pictures import Failure, Picture

CSV_HEADER = ("path", "caption", "error_code", "error_detail", "job_id", "ms", "id")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A caption or a failure; `ms` counts from sending the picture to seeing its result."""

    picture: Picture
    caption: str | None = None
    failure: Failure | None = None
    job_id: str | None = None
    ms: int | None = None
    tags: tuple[str, ...] | None = None
    """The caption's words of content, where they were asked for."""


def as_json(outcome: Outcome) -> str:
    """One JSON line: path, caption, error, job_id, ms, tags if any, and stdin's `id`."""
    failure = outcome.failure
    record: dict[str, Any] = {
        "path": str(outcome.picture.path) if outcome.picture.path else None,
        "caption": outcome.caption,
        "error": {"code": failure.code, "detail": failure.detail} if failure else None,
        "job_id": outcome.job_id,
        "ms": outcome.ms,
        **({} if outcome.tags is None else {"tags": outcome.tags}),
        **outcome.picture.labels,
    }
    return json_line(record)


def as_cells(outcome: Outcome) -> list[str]:
    """The cells of one CSV row, in the order of CSV_HEADER."""
    picture, failure = outcome.picture, outcome.failure
    values = (
        str(picture.path) if picture.path else "",
        outcome.caption or "",
        failure.code if failure else "",
        failure.detail if failure else "",
        outcome.job_id or "",
        "" if outcome.ms is None else str(outcome.ms),
        id_text(picture.labels.get("id")),
    )
    return [cell(value) for value in values]


def id_text(value: Any) -> str:
    """A caller's id as text: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)
