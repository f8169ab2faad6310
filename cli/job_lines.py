"""How jobs are shown: tables for people, lines with tabs for pipes."""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from cli.escape import plain

View = Mapping[str, Any]


def show_jobs(views: Sequence[View]) -> None:
    """Id, status, done, all, created: a line a job."""
    shown = _to_the_minute if sys.stdout.isatty() else str
    rows = [
        (
            str(view["id"]),
            str(view["status"]),
            str(view["counts"]["total"] - view["counts"]["unfinished"]),
            str(view["counts"]["total"]),
            shown(view["created_at"]),
        )
        for view in views
    ]
    _show(("Job", "Status", "Done", "Of", "Created (UTC)"), rows)


def show_job(view: View) -> None:
    """A line a picture: position, status, file, caption or reason. On a terminal the job first."""
    if sys.stdout.isatty():
        click.echo(f"{plain(str(view['id']))}  {plain(str(view['status']))}")
    rows = [
        (
            str(image["position"]),
            str(image["status"]),
            str(image.get("file_name") or ""),
            _result(image),
        )
        for image in view["images"]
    ]
    _show(("#", "Status", "File", "Caption"), rows)


def _to_the_minute(created: str) -> str:
    return f"{datetime.fromisoformat(created).astimezone(UTC):%Y-%m-%d %H:%M}"


def _result(image: View) -> str:
    error = image.get("error")
    if error:
        return f"{error.get('detail') or error.get('title')} ({error.get('code')})"
    return str(image.get("caption") or "")


def _show(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    safe = [[plain(text) for text in row] for row in rows]
    if not sys.stdout.isatty():
        for row in safe:
            click.echo("\t".join(row))
        return
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Nothing is drawn at the sides, so that a job's id and the rest have room in 80 columns.
    grid = Table(*heads, header_style="bold", box=SIMPLE, pad_edge=False, show_edge=False,
                 padding=(0, 1, 0, 0))  # fmt: skip
    grid.columns[0].no_wrap = True
    for column in grid.columns:
        column.overflow = "fold"
    for row in safe:
        grid.add_row(*(Text(text) for text in row))
    Console().print(grid)
