"""`captioner api`: the HTTP API alone."""

import click

from cli.environment import configure


@click.command()
@click.option("--host", metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, metavar="PORT", help="Port to listen on.  [default: 8000]")
def api(host: str | None, port: int | None) -> None:
    """Run the HTTP API alone, with gunicorn.

    It needs a database (`captioner db upgrade` makes its tables), a Redis or Valkey server and, for
    captions, at least one `captioner worker`. To start them all at once: `captioner up`.
    """
    from api.serving import serve

    serve(configure(host=host, port=port))
