"""`captioner flower`: a page that shows Celery's workers and tasks, behind a password."""

import os

import click

from captioner.settings import Settings
from cli import preflight, valkey
from cli.data_folder import password
from cli.environment import configure
from cli.lifeline import end_with_parent

USER = "captioner"
PASSWORD_FILE = "flower-password"  # noqa: S105 - a file's name


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(1, 65_535),
    default=5555,
    show_default=True,
    metavar="PORT",
    help="Port to listen on.",
)
@click.option("--end-with-parent", "tied", is_flag=True, hidden=True)  # as a part of `up`
def flower(host: str, port: int, tied: bool) -> None:
    """Show Celery's workers and tasks in a browser, read-only.

    The user is `captioner`; the password is made at the first start and kept in the data folder,
    in run/flower-password. Tasks carry ids only: no picture and no caption is shown here.
    """
    if tied:
        end_with_parent()
    else:
        preflight.refuse_taken_port(host, port, option="--port")
    settings = valkey.use_running(configure())
    from worker.app import app

    app.start(flower_arguments(settings, host=host, port=port))


def flower_arguments(settings: Settings, *, host: str, port: int) -> list[str]:
    """Flower's command line. It stays in this process, so that `ps` shows no password."""
    run = settings.data_dir / "run"
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    return [
        "flower",
        f"--address={host}",
        f"--port={port}",
        f"--basic_auth={USER}:{password(run / PASSWORD_FILE)}",
        "--read_only=True",
        "--max_tasks=10000",
        f"--conf={os.devnull}",  # else a flowerconfig.py in the user's folder would be run
    ]


if __name__ == "__main__":
    flower(prog_name="captioner flower")
