"""What `captioner up` shows: lines, and a spinner where there is a terminal."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.status import Status

from captioner.logs import JsonFormatter


class Display:
    """Lines to standard output. A terminal that has gone away is no error: the parts go on.

    `as_json`: each as an object, in the form of the parts' logs.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self._json = JsonFormatter() if as_json else None
        self._console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
        self._status: Status | None = None
        self._waiting_for = ""
        self._hinted = False

    def say(self, line: str = "") -> None:
        """One line."""
        if self._json is not None:
            if not line.strip():
                return
            record = logging.LogRecord("cli.up", logging.INFO, "", 0, line.strip(), None, None)
            line = self._json.format(record)
        with suppress(OSError):
            self._console.print(line)

    def waiting(self, what: str, *, seconds: float) -> None:
        """What is waited for: kept up to date on a terminal, else one line for each change."""
        if self._status is not None:
            with suppress(OSError):
                self._status.update(f"Waiting: {what} ({seconds:.0f} s)")
        elif what != self._waiting_for:
            self.say(f"Waiting: {what}")
        self._waiting_for = what

    def hint(self, line: str) -> None:
        """A line that is shown once, however often it is given."""
        if not self._hinted:
            self.say(line)
        self._hinted = True

    @contextmanager
    def spinner(self) -> Iterator[None]:
        """Show a spinner during the block, if this is a terminal."""
        if not self._console.is_terminal:
            yield
            return
        with self._console.status("Starting") as self._status:
            try:
                yield
            finally:
                self._status = None
