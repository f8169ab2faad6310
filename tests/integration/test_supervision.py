"""supervisord with programs that stand in for ours: restarts, the order of the end, killing."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import click
import pytest

from cli import data_folder
from cli.display import Display
from cli.household import Household
from cli.programs import Program, configuration
from cli.supervision import Part, Supervisor, SupervisorGone
from tests.processes import until

SLEEPER = "import time; time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); "


def program(name: str, code: str, *, priority: int = 10, stop_s: int = 5) -> Program:
    command = (sys.executable, "-c", code)
    return Program(name=name, command=command, priority=priority, start_s=1, stop_s=stop_s)


@contextmanager
def supervised(folder: Path, *programs: Program) -> Iterator[tuple[Supervisor, Household, TextIO]]:
    place = data_folder.prepare(folder)
    conf = place.control / "supervisord.conf"
    conf.write_text(configuration(programs, socket=place.supervisor_socket))
    with place.lock() as lock:
        supervisor = Supervisor.start(
            conf, place.supervisor_socket, stdin=lock, errors=place.logs / "errors"
        )
        try:
            yield supervisor, Household(supervisor, list(programs), Display(), place.logs), lock
        finally:
            supervisor.kill()


def part(supervisor: Supervisor, name: str = "sleeper") -> Part:
    (found,) = (each for each in supervisor.parts() if each.name == name)
    return found


def test_a_killed_program_runs_again(tmp_path: Path) -> None:
    with supervised(tmp_path, program("sleeper", SLEEPER)) as (supervisor, _, _):
        until(lambda: part(supervisor).state == "RUNNING", what="running program")
        first = part(supervisor).pid
        os.kill(first, 9)
        until(lambda: part(supervisor).pid not in (0, first), what="new process")


def test_the_highest_priority_ends_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    low, high = program("low", SLEEPER, priority=1), program("high", SLEEPER, priority=2)
    with supervised(tmp_path, low, high) as (supervisor, household, _):
        for name in ("low", "high"):  # one that has not begun yet would miss the signal
            until(lambda name=name: part(supervisor, name).state == "RUNNING", what=name)
        household.drain()
        assert not supervisor.is_running()
        with pytest.raises(SupervisorGone):
            supervisor.parts()
    assert capsys.readouterr().out.split() == ["high", "has", "ended.", "low", "has", "ended."]


def test_a_program_that_ignores_the_request_is_killed_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stubborn = program("stubborn", STUBBORN + SLEEPER, stop_s=1)
    with supervised(tmp_path, stubborn) as (_, household, _):
        log = tmp_path / "logs" / "stubborn.log"
        until(lambda: log.exists() and log.read_text() == "1\n", what="stubborn program")
        household.drain()
    assert "stubborn did not end within 1 s and was killed." in capsys.readouterr().out


def test_killing_leaves_no_process(tmp_path: Path) -> None:
    with supervised(tmp_path, program("sleeper", STUBBORN + SLEEPER)) as (supervisor, _, _):
        until(lambda: part(supervisor).pid != 0, what="process")
        pid = part(supervisor).pid
        supervisor.kill()
        until(lambda: not Path(f"/proc/{pid}/cmdline").exists(), what=f"end of {pid}")


def test_the_folder_stays_locked_while_supervisord_lives(tmp_path: Path) -> None:
    place = data_folder.prepare(tmp_path)
    with supervised(tmp_path, program("sleeper", SLEEPER)) as (_, _, lock):
        lock.close()  # as when the process that started it is gone
        with pytest.raises(click.ClickException):
            place.lock()
    place.lock().close()  # free again: no program holds it
