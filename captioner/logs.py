"""One log format for every process: a sentence, then the fields that `extra` added.

As text for people, or as JSON (one object a line) for programs. Either way one record is at most
`MAX_BYTES` long, and control characters in it are escaped, so that nobody can forge a line.
"""

import json
import logging
import logging.config
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial

FIELDS = ("action", "job_id", "delivery_id", "model", "worker", "request_id", "trace_id")
MAX_BYTES = 4_000
SHORTEST = 200
"""Characters of a sentence that are kept, however long the rest."""
QUIET = ("httpx", "httpcore", "urllib3", "google_genai", "PIL")
"""They say URLs, or what is in a picture's metadata, at INFO or DEBUG."""
CHATTY = ("celery.worker.strategy", "celery.app.trace")
"""They say of each message, at INFO, that it came and went, and nothing of jobs."""

Marks = Mapping[str, str | None]


def _nothing() -> Marks:
    return {}


class Marked(logging.Filter):
    """Adds to each record what is known where it was made, unless the record says otherwise."""

    def __init__(self, marks: Callable[[], Marks] = _nothing) -> None:
        super().__init__()
        self._marks = marks

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true."""
        for name, value in self._marks().items():
            if value is not None and not hasattr(record, name):
                setattr(record, name, value)
        return True


class LineFormatter(logging.Formatter):
    """One record, one line: control characters are escaped, long lines are cut.

    Only the lines of a trace follow, each set in.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return _escaped(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        fields = _escaped(" ".join(f"{name}={value}" for name, value in _fields(record).items()))
        head, *trace = line.split("\n")
        head = f"{_cut(head, MAX_BYTES - len(fields.encode()) - 2)} {fields}" if fields else head
        safe = "\n".join([head, *(f"    {_escaped(part)}" for part in trace)])
        return _cut(safe, MAX_BYTES)


class JsonFormatter(logging.Formatter):
    """One record, one JSON object on one line. What is long is cut before, so that it stays one."""

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            said["trace"] = self.formatException(record.exc_info)
        line = _json(said)
        for name in ("trace", "message"):
            if len(line) > MAX_BYTES and name in said:
                # An escaped character takes up to 12 bytes: cut by what is too much, then for sure.
                kept = max(len(said[name]) - (len(line) - MAX_BYTES), SHORTEST)
                for most in (kept, SHORTEST):
                    said[name] = said[name][:most]
                    line = _json(said)
                    if len(line) <= MAX_BYTES:
                        break
        return line if len(line) <= MAX_BYTES else _json({**said, **_short(said)})


def _json(said: Mapping[str, str]) -> str:
    return json.dumps(said)  # ASCII alone: as many bytes as characters, and nothing unprintable


def _short(said: Mapping[str, str]) -> dict[str, str]:
    return {name: value[:20] for name, value in said.items() if name not in ("time", "level")}


def _fields(record: logging.LogRecord) -> dict[str, str]:
    return {name: str(getattr(record, name)) for name in FIELDS if hasattr(record, name)}


def _cut(text: str, most: int) -> str:
    whole = text.encode("utf-8", "surrogatepass")
    return whole[: max(most, 0)].decode("utf-8", "ignore") if len(whole) > most else text


def _escaped(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def as_json(form: str) -> bool:
    """Whether lines are JSON in that format."""
    return form == "json" or (form == "auto" and not sys.stderr.isatty())


def configure(level: str, form: str = "auto", *, marks: Callable[[], Marks] = _nothing) -> None:
    """Send everything to standard error in that format. `marks`: what is known of where we are."""
    logging.captureWarnings(True)
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {
                    "()": JsonFormatter if as_json(form) else LineFormatter,
                    "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
                }
            },
            "filters": {"marks": {"()": partial(Marked, marks)}},
            "handlers": {
                "stderr": {
                    "class": "logging.StreamHandler",
                    "formatter": "line",
                    "filters": ["marks"],
                }
            },
            "root": {"level": level, "handlers": ["stderr"]},
            "loggers": {
                name: {"level": "WARNING"}
                for name in (*QUIET, *(() if level == "DEBUG" else CHATTY))
            },
        }
    )
