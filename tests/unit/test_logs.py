"""A record is one line, whoever reads it: nothing in it can forge another, and none is long."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from captioner import logs
from captioner.logs import MAX_BYTES, JsonFormatter, LineFormatter

NASTY = (
    "a\r\n2026-11-22 00:00:00,000 CRITICAL forged: all is lost",
    "\x1b[2Jcleared\x07\x00",
    "x" * 9_000,
    "é" * 9_000,
    "\U0001f600" * 9_000,
    '"' * 9_000,
    "\r\n" * 5_000,
    "\ud800" * 5_000,
    "\u2028\u2029\x85",
)
FORMATTERS = (LineFormatter("%(levelname)s %(name)s: %(message)s"), JsonFormatter())


def record(message: str, *, trace: bool = False, **extra: object) -> logging.LogRecord:
    error = None
    if trace:
        try:
            raise ValueError(message)
        except ValueError:
            error = sys.exc_info()
    made = logging.LogRecord("captioner.x", logging.INFO, "x.py", 1, "%s", (message,), error)
    vars(made).update(extra)
    return made


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, as it was afterwards."""
    found = logging.getLogger()
    handlers, level = found.handlers[:], found.level
    yield found
    found.handlers[:], found.level = handlers, level


@pytest.mark.parametrize("message", NASTY)
@pytest.mark.parametrize("trace", [False, True])
@pytest.mark.parametrize("formatter", FORMATTERS, ids=["text", "json"])
def test_a_line_is_bounded_and_printable(formatter, message: str, trace: bool) -> None:
    line = formatter.format(record(message, trace=trace, job_id="7" * 50, model=message))

    assert len(line.encode()) <= MAX_BYTES
    first, *rest = line.split("\n")
    assert all(each.isprintable() for each in (first, *rest))
    assert all(each.startswith("    ") for each in rest)
    assert rest == [] or (trace and isinstance(formatter, LineFormatter))


@pytest.mark.parametrize("message", NASTY)
@pytest.mark.parametrize("trace", [False, True])
def test_json_stays_json_however_much_is_cut(message: str, trace: bool) -> None:
    said = json.loads(JsonFormatter().format(record(message, trace=trace, request_id="r")))

    assert said["level"] == "INFO"
    assert said["logger"] == "captioner.x"
    assert said["request_id"] == "r"
    assert said["message"]
    assert message.startswith(said["message"])
    assert ("trace" in said) is trace


def test_a_line_says_what_extra_added_and_nothing_else_that_was() -> None:
    made = record("It is done.", job_id="7", action="done", secret="s3cret")

    assert FORMATTERS[0].format(made) == "INFO captioner.x: It is done. action=done job_id=7"
    assert set(json.loads(FORMATTERS[1].format(made))) == {
        *("time", "level", "logger", "message"),
        *("action", "job_id"),
    }


def test_fields_survive_a_long_sentence() -> None:
    for formatter in FORMATTERS:
        assert "7777" in formatter.format(record("x" * 9_000, job_id="7777"))


def test_marks_of_the_place_are_added_unless_the_record_has_its_own(root, monkeypatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    logs.configure("INFO", "json", marks=lambda: {"request_id": "here", "model": None})
    logging.getLogger("a").info("one")
    logging.getLogger("a").info("two", extra={"request_id": "there"})
    one, two = map(json.loads, out.getvalue().splitlines())

    assert one["request_id"] == "here"
    assert "model" not in one
    assert two["request_id"] == "there"


@pytest.mark.parametrize(
    ("form", "terminal", "is_json"),
    [
        ("auto", True, False),
        ("auto", False, True),
        ("json", True, True),
        ("text", False, False),
    ],
)
def test_people_get_text_and_programs_get_json(root, monkeypatch, form, terminal, is_json) -> None:
    out = io.StringIO()
    out.isatty = lambda: terminal  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", out)
    logs.configure("INFO", form)
    logging.getLogger("a").info("one")

    assert out.getvalue().startswith("{") is is_json


@pytest.mark.parametrize("name", logs.QUIET)
def test_libraries_that_say_urls_or_metadata_are_quiet_at_any_level(root, name: str) -> None:
    logs.configure("DEBUG", "text")

    assert not logging.getLogger(name).isEnabledFor(logging.INFO)


def test_gunicorns_and_celerys_own_lines_have_the_same_form(tmp_path) -> None:
    script = (
        "from captioner.settings import load; from api.serving import Server\n"
        "from captioner import logs; logs.configure('INFO', 'json')\n"
        "from gunicorn.config import Config; from api.lines import Lines\n"
        "config = Config(); lines = Lines(config)\n"
        "lines.info('Listening at: %s', 'here')\n"
        "lines.warning('Invalid request from ip=1.2.3.4: Invalid HTTP header: \\'key: s3cret\\'')\n"
        "try: 1 / 0\n"
        "except ZeroDivisionError: lines.exception('Error handling request %s', '/a?key=s3cret')\n"
        "lines.access(None, None, {}, None)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    said = [json.loads(line) for line in done.stderr.splitlines()]

    assert [each["message"] for each in said] == [
        "Listening at: here",
        "Invalid request from ip=1.2.3.4: Invalid HTTP header",
        "Error handling request /a",
    ]
    assert "s3cret" not in done.stderr
    assert "ZeroDivisionError" in said[2]["trace"]
