"""The life of the parts from their start to their end: waiting, watching, draining."""

import time
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NoReturn

import click
import httpx

from cli import interrupts
from cli.census import Census
from cli.display import Display
from cli.programs import Program
from cli.readiness import has_page, what_is_missing
from cli.supervision import Part, Supervisor

LOOK_S = 0.5
LAST_LINES = 15
PATIENCE_S = 30
LONG_WAIT = "A model that is used for the first time is downloaded first. Logs: {logs}"
ENDED_BY_SIGNAL = -1  # as supervisord reports it
ENDED = ("STOPPED", "EXITED", "FATAL", "UNKNOWN")


@dataclass(frozen=True)
class Ready:
    """What was found when the API was ready."""

    seconds: float
    has_page: bool


class Household:
    """The programs of one `captioner up`, already started."""

    def __init__(
        self, supervisor: Supervisor, programs: list[Program], display: Display, logs: Path
    ) -> None:
        self._supervisor = supervisor
        self._programs = programs
        self._display = display
        self._logs = logs
        self._census = Census()

    def await_ready(self, url: str) -> Ready:
        """Wait until the API says that it is ready.

        Raises ClickException, with the last lines of its log, when a part keeps ending, and
        SupervisorGone.
        """
        began = time.monotonic()
        with httpx.Client(timeout=5, trust_env=False) as client, self._display.spinner():
            while missing := what_is_missing(client, url):
                interrupts.check()
                self._display.waiting(missing, seconds=time.monotonic() - began)
                if began + PATIENCE_S < time.monotonic():
                    self._display.hint(LONG_WAIT.format(logs=self._logs))
                self._tell_restarts()
                if part := self._census.hopeless():
                    raise click.ClickException(self._last_words(part))
                time.sleep(LOOK_S)
            return Ready(time.monotonic() - began, has_page(client, url))

    def watch(self) -> NoReturn:
        """Tell of every restart, until interrupted. Raises SupervisorGone."""
        while True:
            self._tell_restarts()
            interrupts.check()
            time.sleep(2 * LOOK_S)

    def drain(self) -> None:
        """End the parts in order: the API, then the workers, Valkey last. Raises SupervisorGone."""
        programs = sorted(self._programs, key=lambda program: -program.priority)
        for _, group in groupby(programs, key=lambda program: program.priority):
            self._end(list(group))
        self._supervisor.end(timeout_s=10)

    def _end(self, group: list[Program]) -> None:
        waiting = {program.name: program for program in group}
        began = time.monotonic()
        for name in waiting:
            self._supervisor.stop(name)
        while waiting:
            for part in self._supervisor.parts():
                if part.name in waiting and part.state in ENDED:
                    took_s = time.monotonic() - began
                    self._display.say(f"  {_how_it_ended(waiting.pop(part.name), part, took_s)}")
            if waiting:
                time.sleep(0.1)

    def _tell_restarts(self) -> None:
        for restart in self._census.look(self._supervisor.parts()):
            self._display.say(
                f"{restart.name} ended and was started again (process {restart.pid}). "
                f"Its log: {self._log(restart.name)}"
            )

    def _last_words(self, part: str) -> str:
        log = self._log(part)
        try:
            lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        except OSError:
            lines = []
        said = "\n".join(f"    {line}" for line in lines)
        return f"{part} keeps ending. The last lines of {log}:\n{said}"

    def _log(self, part: str) -> Path:
        return self._logs / f"{part}.log"


def _how_it_ended(program: Program, part: Part, took_s: float) -> str:
    if part.exit_status == ENDED_BY_SIGNAL and took_s >= program.stop_s:
        return f"{part.name} did not end within {program.stop_s} s and was killed."
    return f"{part.name} has ended."
