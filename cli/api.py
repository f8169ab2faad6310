"""`captioner api`: the HTTP API alone."""

import click

from cli import valkey
from cli.environment import configure
from cli.lifeline import end_with_parent
from cli.preflight import refuse_open_door, refuse_taken_port

PATIENCE_S = 5.0
"""How long processes of an API that was killed may have the port still."""


@click.command()
@click.option("--host", metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, metavar="PORT", help="Port to listen on.  [default: 8000]")
@click.option("--end-with-parent", "tied", is_flag=True, hidden=True)  # as a part of `up`
def api(host: str | None, port: int | None, tied: bool) -> None:
    """Run the HTTP API alone, with gunicorn.

    It needs a database (`captioner db upgrade` makes its tables), a Redis or Valkey server and, for
    captions, at least one `captioner worker`. To start them all at once: `captioner up`.

    At an address that other machines can reach, it asks for API keys and does not start before
    there is one (`captioner keys create`), unless CAPTIONER_AUTH says otherwise.
    """
    if tied:
        end_with_parent()
    settings = valkey.use_running(configure(host=host, port=port))
    if not tied:
        refuse_taken_port(settings.host, settings.port, option="--port", patience_s=PATIENCE_S)
    refuse_open_door(settings)
    from api.serving import serve

    serve(settings)
