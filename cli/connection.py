"""Which server a command talks to."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cli.client import Server

DEFAULT_SERVER = "http://127.0.0.1:8000"
TIMEOUT_S = 30.0
"""How long a server may be busy or away before a short call gives up."""

server_option = click.option(
    "--server",
    metavar="URL",
    envvar="CAPTIONER_SERVER",
    default=DEFAULT_SERVER,
    show_default=True,
    show_envvar=True,
    help="The captioner server to use.",
)


@contextmanager
def connected(url: str) -> Iterator["Server"]:
    """A server for a few short calls; what it has to say goes to standard error."""
    from cli.client import Server
    from cli.environment import key_to_show

    server = Server(url, timeout_s=TIMEOUT_S, stop=Event(), say=_tell, key=key_to_show())
    try:
        yield server
    finally:
        server.close()


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
