"""Runs programs under supervisord, which restarts those that end, and asks it how they are."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, TextIO, cast
from xml.parsers.expat import ExpatError
from xmlrpc.client import Error, Fault, ServerProxy

from cli.lifeline import before_exec

START_TIMEOUT_S = 20
NOT_RUNNING = 70  # supervisor.xmlrpc.Faults.NOT_RUNNING: the end that was asked for


class SupervisorGone(Exception):
    """supervisord does not answer: it has ended, or is about to."""


@dataclass(frozen=True)
class Part:
    """A program as supervisord sees it now. `pid` is 0 when none runs."""

    name: str
    state: str
    pid: int
    started: int
    """Unix time of the last start: a new value is a new start."""
    exit_status: int


class Supervisor:
    """A supervisord of our own. It ends its programs in order when this process dies."""

    def __init__(self, process: subprocess.Popen[bytes], socket: Path) -> None:
        self._process = process
        self._socket = socket
        self._last: list[Part] = []

    @classmethod
    def start(cls, conf: Path, socket: Path, *, stdin: TextIO, errors: Path) -> "Supervisor":
        """Start it and wait until it answers. `stdin` stays open in it, and only in it.

        Raises SupervisorGone, with what it said, when it does not come up.
        """
        socket.unlink(missing_ok=True)
        command = [sys.executable, "-P", "-m", "supervisor.supervisord", "-n", "-c", str(conf)]
        with errors.open("wb") as sink:
            process = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=sink,
                stderr=sink,
                start_new_session=True,  # Ctrl-C in the terminal is for us alone
                preexec_fn=before_exec(os.getpid()),
            )
        supervisor = cls(process, socket)
        supervisor._await_answer(errors)
        return supervisor

    def is_running(self) -> bool:
        """Whether the process itself is there."""
        return self._process.poll() is None

    def parts(self) -> list[Part]:
        """Every program as it is now. Raises SupervisorGone."""
        rows = cast("list[dict[str, Any]]", self._call("getAllProcessInfo"))
        self._last = [
            Part(row["name"], row["statename"], row["pid"], row["start"], row["exitstatus"])
            for row in rows
        ]
        return self._last

    def stop(self, name: str) -> None:
        """Ask a program to end; returns at once. Raises SupervisorGone."""
        self._call("stopProcess", name, False)

    def end(self, timeout_s: float) -> None:
        """End supervisord itself, whose programs have been stopped."""
        self._process.terminate()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it and all programs at once, without asking any of them."""
        parts = self._last
        if self.is_running():
            with suppress(SupervisorGone):
                parts = self.parts()
        self._process.kill()  # first, or it would start them again
        self._process.wait()
        for part in parts:
            kill_group(part.pid)

    def _call(self, method: str, *arguments: object) -> Any:
        from supervisor.xmlrpc import SupervisorTransport

        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        try:
            with ServerProxy("http://127.0.0.1", transport=transport) as proxy:
                return getattr(proxy.supervisor, method)(*arguments)
        except (OSError, HTTPException, ExpatError, Error) as error:
            if isinstance(error, Fault) and error.faultCode == NOT_RUNNING:
                return None
            raise SupervisorGone(str(error)) from error

    def _await_answer(self, errors: Path) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                self.parts()
            except SupervisorGone as error:
                if not self.is_running() or time.monotonic() > deadline:
                    self.kill()
                    text = errors.read_text(errors="replace").strip() or str(error)
                    raise SupervisorGone(text) from error
                time.sleep(0.05)
            else:
                return


def kill_group(pid: int) -> None:
    """End the processes of a session that was started for `pid`, at once; 0 is none."""
    if pid > 0:
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
