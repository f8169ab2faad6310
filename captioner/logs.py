"""One log format for every process: a sentence, then the fields that `extra` added."""

import logging
import logging.config

FIELDS = ("action", "job_id", "delivery_id", "model", "worker", "request_id")
MAX_CHARS = 4_000


class LineFormatter(logging.Formatter):
    """One record, one line: control characters are escaped, long lines are cut."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        fields = " ".join(
            f"{name}={getattr(record, name)}" for name in FIELDS if hasattr(record, name)
        )
        line = f"{line} {fields}" if fields else line
        head, *trace = line.split("\n")
        safe = "\n".join([_escaped(head), *(f"    {_escaped(part)}" for part in trace)])
        return safe[:MAX_CHARS]


def _escaped(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def configure(level: str) -> None:
    """Send everything to standard error in that format."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {
                    "()": LineFormatter,
                    "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"level": level, "handlers": ["stderr"]},
            # httpx says every request at INFO, and httpcore at DEBUG, with its URL
            "loggers": {"httpx": {"level": "WARNING"}, "httpcore": {"level": "WARNING"}},
        }
    )
