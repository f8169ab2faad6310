"""The `captioner` command: what it is, and where its parts are."""

from importlib.metadata import PackageNotFoundError, version

import click

from cli.lazy import LazyCommand, LazyGroup

COMMANDS = {
    "up": LazyCommand("cli.up:up", "Start everything on this machine."),
    "caption": LazyCommand("cli.caption:caption", "Caption pictures, folders or a list."),
    "jobs": LazyCommand("cli.jobs:jobs", "Look at jobs, stop them, try again."),
    "flower": LazyCommand("cli.flower:flower", "Show Celery's workers and tasks."),
    "models": LazyCommand("cli.models:models", "List the models that can be used."),
    "api": LazyCommand("cli.api:api", "Run the HTTP API alone."),
    "worker": LazyCommand("cli.worker:worker", "Run a worker, or one for each GPU."),
    "webhooks": LazyCommand("cli.webhooks:webhooks", "Make a signing secret, try a receiver."),
    "cache": LazyCommand("cli.cache:cache", "Forget captions that are remembered."),
    "keys": LazyCommand("cli.keys:keys", "Make, list and revoke API keys."),
    "db": LazyCommand("cli.db:db", "Create or change the database's tables."),
}


def _installed_version() -> str:
    try:
        return version("captioner")
    except PackageNotFoundError:
        return "unknown (not installed)"


def _print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"captioner {_installed_version()}")
        ctx.exit()


@click.group(cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Describe pictures in words.

    captioner is a small service: a server keeps the pictures that you send as jobs, workers write
    a caption for each, and nothing is lost when a part stops. This command starts the service and
    talks to it.

    \b
    First steps:
      1. captioner up                      start it here; leave it running
      2. captioner caption photo.jpg       in a second terminal: caption a picture

    \b
    More examples:
      captioner caption ~/Pictures --sidecars        photo.jpg gets photo.txt beside it
      captioner caption ~/Pictures --csv --output captions.csv
      captioner caption --server http://gpu-box:8000 "2024/**/*.jpg"
      captioner jobs list --status running           what is going on
      captioner models                               which models there are

    `captioner COMMAND --help` explains each command.
    """


if __name__ == "__main__":
    main(prog_name="captioner")
