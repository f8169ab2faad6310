"""`captioner models`: what can be asked for with --model."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from cli.connection import connected
from cli.escape import plain

COLUMNS = ("name", "kind", "license", "source", "description")
COLUMNS_OF_A_SERVER = ("name", "license", "memory", "description")

Model = Mapping[str, Any]


@click.command()
@click.argument("name", required=False)
@click.option(
    "--server",
    metavar="URL",
    envvar="CAPTIONER_SERVER",
    show_envvar=True,
    help="Those that this server serves, instead of the catalog.",
)
def models(name: str | None, server: str | None) -> None:
    """List the models in the catalog or of a server, or tell all of the one with this NAME.

    The default model is marked with a star: that of the server, or without one that of the settings
    here. In a pipe the second column is `default` for it. A name from the first column goes with
    `captioner caption --model NAME`, if the server that you use serves it.
    """
    found = _catalog() if server is None else _served(server)
    if name is not None:
        _tell(name, found)
        return
    columns = COLUMNS if server is None else COLUMNS_OF_A_SERVER
    if sys.stdout.isatty():
        _show_table(columns, found)
        return
    for model in found:
        name, *rest = _cells(model, columns)
        click.echo("\t".join((name, "default" if model["default"] else "", *rest)))


def _served(server: str) -> list[Model]:
    with connected(server) as there:
        return list(there.ask("GET", "/api/models")["models"])


def _catalog() -> list[Model]:
    from captioner import catalog
    from captioner.options import ranges
    from cli.environment import configure

    settings = configure()
    return [
        {
            **{column: getattr(entry, column) for column in COLUMNS},
            "prompt": entry.prompt,
            "memory": entry.memory,
            "batch": f"{catalog.batch_of(entry, settings)} pictures at once; "
            f"on a CPU {catalog.batch_of(entry, settings, device='cpu')}",
            "default": entry.name == settings.model,
            "options": {
                option: {"minimum": least, "maximum": most}
                for option in entry.limits.takes
                for least, most in [ranges(entry.limits).get(option, (None, None))]
            },
        }
        for entry in catalog.entries(settings).values()
    ]


def _tell(name: str, found: Sequence[Model]) -> None:
    known = {str(model["name"]): model for model in found}
    if name not in known:
        raise click.UsageError(f"There is no model {name!r}; there are {', '.join(known)}.")
    model = dict(known[name])
    options = model.pop("options")
    for label, text in model.items():
        click.echo(plain(f"{label}: {text}"))
    click.echo("options:")
    for option, bounds in sorted(options.items()):
        least, most = bounds["minimum"], bounds["maximum"]
        click.echo(plain(f"  {option}" + ("" if least is None else f": {least} to {most}")))


def _cells(model: Model, columns: Sequence[str]) -> list[str]:
    return [plain(str(model[column] or "")) for column in columns]


def _show_table(columns: Sequence[str], found: Sequence[Model]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(*(column.capitalize() for column in columns), header_style="bold")
    for model in found:
        name, *rest = _cells(model, columns)
        mark = f"{name} *" if model["default"] else name
        grid.add_row(*(Text(text) for text in (mark, *rest)))
    Console().print(grid)
