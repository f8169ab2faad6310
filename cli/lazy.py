"""A click group whose commands are imported only when they are called.

`captioner --help` then answers at once, and a command pays for its own imports alone.
"""

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import click

from captioner.errors import RequestError
from cli.trouble import explain

INTERRUPTED = 130  # 128 + SIGINT, as shells report it
WRONG_REQUEST = 2  # as click ends where an option is wrong


class _WrongRequest(click.ClickException):
    exit_code = WRONG_REQUEST


class LazyCommand(NamedTuple):
    """Where a command lives, and its line in the group's help."""

    target: str
    """`module:attribute`"""
    summary: str


class LazyGroup(click.Group):
    """Imports on call; shows what went wrong as one line instead of a traceback."""

    def __init__(
        self, *args: Any, lazy: Mapping[str, LazyCommand] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which they were given: the first is the first to learn."""
        return [*self._lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        return _imported(self._lazy[cmd_name].target, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in self._lazy.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; expected errors leave as one line and an exit code."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None
        except Exception as error:
            if message := explain(error):
                kind = _WrongRequest if isinstance(error, RequestError) else click.ClickException
                raise kind(message) from error
            raise


def _imported(target: str, name: str) -> click.Command:
    module, _, attribute = target.partition(":")
    try:
        command = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"`captioner {name}` needs the Python package {error.name!r}, which is not installed."
        ) from error
    if not isinstance(command, click.Command):
        raise TypeError(f"{target} is not a click command")
    return command
