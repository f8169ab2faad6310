"""How jobs are shown: tables for people, lines with tabs for pipes."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from cli.escape import plain

View = Mapping[str, Any]


def show_jobs(views: Sequence[View]) -> None:
    """Id, status, done, all, created: a line a job."""
    rows = [
        (
            str(view["id"]),
            str(view["status"]),
            str(view["counts"]["total"] - view["counts"]["unfinished"]),
            str(view["counts"]["total"]),
            str(view["created_at"]),
        )
        for view in views
    ]
    _show(("Job", "Status", "Done", "Of", "Created"), rows)


def show_job(view: View) -> None:
    """Position, status, and caption or reason: a line a picture; on a terminal the job first."""
    if sys.stdout.isatty():
        click.echo(f"{plain(str(view['id']))}  {plain(str(view['status']))}")
    rows = [
        (str(image["position"]), str(image["status"]), _result(image)) for image in view["images"]
    ]
    _show(("#", "Status", "Caption"), rows)


def _result(image: View) -> str:
    error = image.get("error") or {}
    return str(image.get("caption") or error.get("detail") or error.get("title") or "")


def _show(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    safe = [[plain(text) for text in row] for row in rows]
    if not sys.stdout.isatty():
        for row in safe:
            click.echo("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(*heads, header_style="bold")
    for row in safe:
        grid.add_row(*(Text(text) for text in row))
    Console().print(grid)
