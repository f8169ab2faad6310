"""One worker for each GPU, each started again when it ends, all ended together.

What supervisord is for `captioner up`, without a folder of its own: where GPUs are, a worker's log
goes to standard error, and the extra that brings supervisord need not be installed.
"""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import click

from cli import interrupts
from cli.environment import seeing
from cli.lifeline import before_exec
from cli.supervision import kill_group

LOOK_S = 0.2
STEADY_S = 60
"""A worker that has lived so long was no failed start."""
LONGEST_PAUSE_S = 60
GIVEN_UP = 3
"""Failed starts in a row, of every worker: then it is not for one GPU that they fail."""
STOPPED_AT_ONCE = 130  # as shells report an interrupted program


@dataclass
class _Member:
    gpu: str
    process: subprocess.Popen[bytes] | None = None
    started: float = 0
    failures: int = 0
    due: float = 0


class Crew:
    """Workers that are pinned to one GPU each, by CUDA_VISIBLE_DEVICES.

    `command`: what each runs. `stop_s`: how long one may take to end.
    """

    def __init__(self, gpus: Sequence[str], *, command: Sequence[str], stop_s: float) -> None:
        self._members = [_Member(gpu) for gpu in gpus]
        self._command = list(command)
        self._stop_s = stop_s

    def run(self) -> int:
        """Run them until interrupted. Returns the exit code.

        Raises ClickException when none of them can be started.
        """
        interrupts.install(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        try:
            self._watch()
        except KeyboardInterrupt:
            return self._drain()
        except click.ClickException:
            self._end()
            raise
        finally:
            self._kill()

    def _watch(self) -> NoReturn:
        while True:
            for member in self._members:
                self._look_after(member)
            if all(member.failures >= GIVEN_UP for member in self._members):
                raise click.ClickException(
                    f"Every worker ended {GIVEN_UP} times soon after its start, so none is started "
                    "again. What they said stands above."
                )
            interrupts.check()
            time.sleep(LOOK_S)

    def _look_after(self, member: _Member) -> None:
        if member.process is None:
            if time.monotonic() >= member.due:
                self._start(member)
            return
        code = member.process.poll()
        if code is not None:
            kill_group(member.process.pid)  # children that it left behind
            lived_s = time.monotonic() - member.started
            member.failures = 0 if lived_s > STEADY_S else member.failures + 1
            pause_s = min(2 ** max(0, member.failures - 1), LONGEST_PAUSE_S)
            member.process, member.due = None, time.monotonic() + pause_s
            say(f"{_name(member)} ended ({_how(code)}). It is started again in {pause_s} s.")

    def _start(self, member: _Member) -> None:
        member.started = time.monotonic()
        member.process = subprocess.Popen(
            self._command,
            env=seeing(member.gpu),
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal is for us alone
            preexec_fn=before_exec(os.getpid()),
        )
        say(f"{_name(member)} is process {member.process.pid}.")

    def _drain(self) -> int:
        say("Draining: running work ends, the rest is handed back. Ctrl-C again stops at once.")
        try:
            self._end()
        except KeyboardInterrupt:
            say("Stopped at once. Work that was cut off starts again on another worker.")
            return STOPPED_AT_ONCE
        return 0

    def _end(self) -> None:
        left = {m.process: m for m in self._members if m.process and m.process.poll() is None}
        for process in left:
            process.terminate()
        deadline = time.monotonic() + self._stop_s
        while left and time.monotonic() < deadline:
            for process in [one for one in left if one.poll() is not None]:
                say(f"{_name(left.pop(process))} has ended.")
            time.sleep(LOOK_S)
        for member in left.values():
            say(f"{_name(member)} did not end within {self._stop_s:g} s and is killed.")

    def _kill(self) -> None:
        for member in self._members:
            if member.process is not None:
                kill_group(member.process.pid)
                member.process.wait()


def say(line: str) -> None:
    """To standard error, where the workers' logs go."""
    click.echo(line, err=True)


def _name(member: _Member) -> str:
    return f"The worker of GPU {member.gpu}"


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
