"""The scale of the runs, and the table that is printed at the end and kept."""

import os
import signal
import sys
from collections.abc import Callable

import pytest

from tests.faults import report
from tests.faults.report import Row
from tests.faults.stand import SETTINGS

SCALE = float(os.environ.get("FAULTS_SCALE", "1"))
"""Less than 1: shorter runs of the same kind, to try things."""
KEEP = os.environ.get("FAULTS_KEEP")
"""Name of the result in benchmarks/results that the table becomes; without it none is written."""
_ROWS: list[Row] = []


def pytest_sessionstart() -> None:
    # As Ctrl-C: every process that we started ends before we do.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture
def tell() -> Callable[[list[Row]], None]:
    """Put lines into the table of this session."""
    return _ROWS.extend


@pytest.fixture
def scale() -> float:
    return SCALE


def pytest_terminal_summary(terminalreporter) -> None:
    if not _ROWS:
        return
    terminalreporter.section("faults")
    terminalreporter.write_line(report.table(_ROWS))
    if KEEP is None:
        return
    short = {name.removeprefix("CAPTIONER_").lower(): value for name, value in SETTINGS.items()}
    command = " ".join(["python -m pytest", *sys.argv[1:]])
    report.save(KEEP, _ROWS, settings={**short, "scale": f"{SCALE:g}"}, command=command)
