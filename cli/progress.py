"""Shows a run on stderr: a bar on a terminal, else a line every few seconds."""

import time
from typing import Any, Protocol

import click

from cli.escape import plain
from cli.tally import Tally, duration

LINE_EVERY_S = 5.0


class Progress(Protocol):
    """What a run tells about itself while it goes on."""

    def update(self, tally: Tally) -> None:
        """The counts have changed."""
        ...

    def say(self, message: str) -> None:
        """Show one line that stays."""
        ...

    def close(self) -> None:
        """Draw no more."""
        ...


class Ticker:
    """Lines for a log file: at most one of progress every `every_s`."""

    def __init__(self, *, every_s: float = LINE_EVERY_S) -> None:
        self._every_s = every_s
        self._last = time.monotonic()

    def update(self, tally: Tally) -> None:
        now = time.monotonic()
        if now - self._last >= self._every_s:
            self._last = now
            self.say(tally.line())

    def say(self, message: str) -> None:
        click.echo(plain(message), err=True)

    def close(self) -> None:
        pass


class Bar:
    """A bar with images/s, the time left and the failures."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._progress = RichProgress(
            TextColumn("Captioning"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}", markup=False),
            console=Console(stderr=True),
            redirect_stdout=False,  # stdout may be a pipe: captions must not land on stderr
            redirect_stderr=False,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, pace="")
        self._progress.start()

    def update(self, tally: Tally) -> None:
        parts = [f"{tally.rate:.1f} images/s"]
        if tally.left_s is not None:
            parts.append(f"{duration(tally.left_s)} left")
        if tally.failed:
            parts.append(f"{tally.failed} failed")
        change: dict[str, Any] = {"completed": tally.finished, "pace": ", ".join(parts)}
        self._progress.update(self._task, total=tally.found, **change)

    def say(self, message: str) -> None:
        from rich.text import Text

        self._progress.console.print(Text(plain(message)))

    def close(self) -> None:
        self._progress.stop()
