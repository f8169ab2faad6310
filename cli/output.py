"""Where results go: a table, plain lines, or rows of JSON or CSV that a later run can continue."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TextIO

from cli.escape import plain
from cli.outcome import CSV_HEADER, Outcome, as_cells, as_json
from cli.pictures import Picture
from cli.resume import csv_done, csv_key, json_done, json_key, mend_end


class Writer(Protocol):
    """Takes outcomes one at a time, from one thread at a time."""

    keeps: bool
    """Whether a later run finds what this one wrote."""

    def has(self, picture: Picture) -> bool:
        """Whether an earlier run has this picture's caption."""
        ...

    def write(self, outcome: Outcome) -> Outcome:
        """Keep it, and say what became of it: writing may fail for this picture alone."""
        ...

    def close(self) -> None:
        """Show or flush what is left."""
        ...


class Lines:
    """`path<TAB>caption` on stdout, for pipes; failures are told on stderr only."""

    keeps = False

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def has(self, picture: Picture) -> bool:
        del picture
        return False

    def write(self, outcome: Outcome) -> Outcome:
        if outcome.caption is not None:
            row = f"{plain(outcome.picture.name)}\t{plain(outcome.caption)}\n"
            self._stream.write(row)
            self._stream.flush()
        return outcome

    def close(self) -> None:
        self._stream.flush()


class Table:
    """A table for people, shown at the end and sorted by name."""

    keeps = False

    def __init__(self) -> None:
        self._outcomes: list[Outcome] = []

    def has(self, picture: Picture) -> bool:
        del picture
        return False

    def write(self, outcome: Outcome) -> Outcome:
        self._outcomes.append(outcome)
        return outcome

    def close(self) -> None:
        from rich.console import Console
        from rich.table import Table as Grid
        from rich.text import Text

        if not self._outcomes:
            return
        grid = Grid("Picture", "Caption", header_style="bold")
        for outcome in sorted(self._outcomes, key=lambda each: each.picture.name):
            right = Text(plain(outcome.caption or ""))
            if outcome.failure:
                right = Text(f"failed: {plain(outcome.failure.detail)}", style="red")
            grid.add_row(Text(plain(outcome.picture.name)), right)
        Console().print(grid)


class Rows:
    """One line of text for each outcome, to stdout or to a file that is continued."""

    def __init__(
        self,
        stream: TextIO,
        form: Callable[[Outcome], str],
        *,
        key: Callable[[Picture], str] | None = None,
        done: frozenset[str] = frozenset(),
    ) -> None:
        self._stream, self._form, self._key, self._done = stream, form, key, done
        self.keeps = key is not None

    def has(self, picture: Picture) -> bool:
        return bool(self._key and self._key(picture) in self._done and not picture.failure)

    def write(self, outcome: Outcome) -> Outcome:
        self._stream.write(self._form(outcome))  # one call a row: a crash leaves whole rows
        self._stream.flush()
        return outcome

    def close(self) -> None:
        self._stream.flush()
        if self.keeps:
            self._stream.close()


def json_rows(stdout: TextIO, file: Path | None, *, overwrite: bool) -> Rows:
    """JSON lines to `file`, continuing what it holds unless `overwrite`, or to stdout."""
    if file is None:
        return Rows(stdout, _json_row)
    done = frozenset() if overwrite else json_done(file)
    return Rows(_opened(file, overwrite=overwrite), _json_row, key=json_key, done=done)


def csv_rows(stdout: TextIO, file: Path | None, *, overwrite: bool) -> Rows:
    """As `json_rows`, as CSV with a header line."""
    if file is None:
        stdout.write(_csv_row(CSV_HEADER))
        return Rows(stdout, lambda outcome: _csv_row(as_cells(outcome)))
    done = frozenset() if overwrite else csv_done(file)
    stream = _opened(file, overwrite=overwrite)
    if stream.tell() == 0:
        stream.write(_csv_row(CSV_HEADER))
    return Rows(stream, lambda outcome: _csv_row(as_cells(outcome)), key=csv_key, done=done)


def _opened(file: Path, *, overwrite: bool) -> TextIO:
    if not overwrite:
        mend_end(file)
    return file.open("w" if overwrite else "a", encoding="utf-8", newline="")


def _json_row(outcome: Outcome) -> str:
    return as_json(outcome) + "\n"


def _csv_row(cells: tuple[str, ...] | list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
