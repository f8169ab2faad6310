"""`captioner models`: what can be asked for with --model."""

import sys

import click

from cli.escape import plain

COLUMNS = ("name", "kind", "license", "source", "description")


@click.command()
def models() -> None:
    """List the models in the catalog.

    The default model is marked with a star. A name from the first column goes with
    `captioner caption --model NAME`, if the server that you use serves it.
    """
    from captioner import catalog
    from captioner.settings import load

    settings = load()
    rows = [
        [plain(str(getattr(entry, column, None) or "")) for column in COLUMNS]
        for entry in catalog.entries(settings).values()
    ]
    if sys.stdout.isatty():
        _show_table(rows, default=settings.model)
    else:
        for row in rows:
            click.echo("\t".join(row))


def _show_table(rows: list[list[str]], *, default: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(*(column.capitalize() for column in COLUMNS), header_style="bold")
    for name, *rest in rows:
        mark = f"{name} *" if name == default else name
        grid.add_row(*(Text(text) for text in (mark, *rest)))
    Console().print(grid)
