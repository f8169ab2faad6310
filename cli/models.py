"""`captioner models`: what can be asked for with --model."""

import sys
from typing import TYPE_CHECKING

import click

from cli.escape import plain

if TYPE_CHECKING:
    from captioner.settings import Settings

COLUMNS = ("name", "kind", "license", "source", "description")


@click.command()
@click.argument("name", required=False)
def models(name: str | None) -> None:
    """List the models in the catalog, or tell all of the one with this NAME.

    The default model is marked with a star. A name from the first column goes with
    `captioner caption --model NAME`, if the server that you use serves it.
    """
    from captioner import catalog
    from captioner.settings import load

    settings = load()
    if name is not None:
        _tell(name, settings)
        return
    rows = [
        [plain(str(getattr(entry, column, None) or "")) for column in COLUMNS]
        for entry in catalog.entries(settings).values()
    ]
    if sys.stdout.isatty():
        _show_table(rows, default=settings.model)
    else:
        for row in rows:
            click.echo("\t".join(row))


def _tell(name: str, settings: "Settings") -> None:
    from captioner import catalog
    from captioner.options import ranges

    known = catalog.entries(settings)
    if name not in known:
        raise click.UsageError(f"There is no model {name!r}; there are {', '.join(known)}.")
    entry, bounds = known[name], ranges(known[name].limits)
    told = {column: str(getattr(entry, column)) for column in COLUMNS}
    told |= {
        "prompt": entry.prompt,
        "memory": entry.memory,
        "batch": f"{catalog.batch_of(entry, settings)} pictures at once; "
        f"on a CPU {catalog.batch_of(entry, settings, device='cpu')}",
        "options": "",
    }
    for label, text in told.items():
        click.echo(plain(f"{label}: {text}".rstrip()))
    for option in sorted(entry.limits.takes):
        least, most = bounds.get(option, (None, None))
        click.echo(f"  {option}" + ("" if least is None else f": {least} to {most}"))


def _show_table(rows: list[list[str]], *, default: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(*(column.capitalize() for column in COLUMNS), header_style="bold")
    for name, *rest in rows:
        mark = f"{name} *" if name == default else name
        grid.add_row(*(Text(text) for text in (mark, *rest)))
    Console().print(grid)
