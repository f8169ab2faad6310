"""Programs that are started again whenever they end, as a supervisor would, and their deaths."""

import os
import random
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.processes import ROOT, environment

RESTART_S = 0.2
GRACE_S = 25.0
TAIL = 3000


@dataclass(frozen=True)
class Death:
    """One end of one process."""

    name: str
    pid: int
    code: int
    ours: bool
    """Whether we asked for it."""
    tail: str
    """The end of its log, when we did not."""


class Slot:
    """One program, kept running."""

    def __init__(
        self, name: str, command: Sequence[str], extra: Mapping[str, str], *, log: Path
    ) -> None:
        self.name = name
        self.deaths: list[Death] = []
        self._command, self._extra, self._log = list(command), dict(extra), log
        self._lock = threading.Lock()
        self._asked: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"slot-{name}", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        process = self._process
        return None if process is None or process.poll() is not None else process.pid

    def send(self, sig: signal.Signals, *, pid: int | None = None) -> int | None:
        """Signal the process that runs (or only if it is `pid`). Returns its id, if there was one.

        An end by it is asked for, unless the signal only stops or continues.
        """
        with self._lock:
            process = self._process
            if process is None or process.poll() is not None or pid not in (None, process.pid):
                return None
            if sig not in (signal.SIGSTOP, signal.SIGCONT):
                self._asked.add(process.pid)
            process.send_signal(sig)
            return process.pid

    def expect_end(self, pid: int) -> None:
        """An end of this process is no surprise any more."""
        self._asked.add(pid)

    def begin_end(self) -> None:
        """Ask the program to end, and do not start it again."""
        self._ending.set()
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)

    def end(self) -> None:
        """Wait for that end; kill what does not go."""
        self.begin_end()
        self._thread.join(timeout=GRACE_S)
        self.send(signal.SIGKILL)
        self._thread.join(timeout=5)

    def _keep(self) -> None:
        while not self._ending.is_set():
            with self._lock, self._log.open("ab") as out:
                self._process = process = subprocess.Popen(
                    self._command,
                    cwd=ROOT,
                    env=environment(self._extra),
                    stdout=out,
                    stderr=out,
                    start_new_session=True,  # a Ctrl-C is for the tests, which then end it
                )
            if self._ending.is_set():
                process.terminate()
            code = process.wait()
            self._note(process.pid, code)
            self._ending.wait(RESTART_S)

    def _note(self, pid: int, code: int) -> None:
        ours = pid in self._asked or self._ending.is_set()
        tail = "" if ours else self._log.read_text(errors="replace")[-TAIL:]
        self.deaths.append(Death(self.name, pid, code, ours, tail))


class Fleet:
    """Several slots. What is still running at the end is asked to go, then killed."""

    def __init__(self) -> None:
        self.slots: list[Slot] = []

    def add(
        self, name: str, command: Sequence[str], extra: Mapping[str, str], *, log: Path
    ) -> Slot:
        slot = Slot(name, command, extra, log=log)
        self.slots.append(slot)
        return slot

    def named(self, prefix: str) -> list[Slot]:
        return [slot for slot in self.slots if slot.name.startswith(prefix)]

    def deaths(self) -> list[Death]:
        return [death for slot in self.slots for death in slot.deaths]

    def surprises(self) -> list[Death]:
        """Deaths that nobody asked for: there may be none."""
        return [death for death in self.deaths() if not death.ours]

    def end(self) -> None:
        for slot in self.slots:
            slot.begin_end()
        for slot in self.slots:
            slot.end()

    def __enter__(self) -> "Fleet":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def any_of(slots: Sequence[Slot], rng: random.Random) -> Slot:
    return slots[rng.randrange(len(slots))]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
