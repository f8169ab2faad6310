"""`captioner caption`: send pictures to a server and show, file or save their captions."""

from pathlib import Path
from typing import Any

import click

from captioner.options import Length
from cli.connection import server_option
from cli.options import Options


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@server_option
@click.option("--model", metavar="NAME", help="A model (see `captioner models`).")
@click.option("--prompt", metavar="TEXT", help="How the caption should begin, or a question.")
@click.option(
    "--length",
    type=click.Choice([each.value for each in Length]),
    help="How much a caption says.",
)
@click.option("--language", metavar="NAME", help="Of the captions; chat models only.")
@click.option("--tags", is_flag=True, help="With --json: each caption's words of content too.")
@click.option(
    "--sidecars",
    is_flag=True,
    help="Write photo.txt beside each photo.jpg; photo.jpg.txt where photo.png lies there too.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object a line.")
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --csv or --json: write to FILE, and continue it when run again.",
)
@click.option(
    "--skip/--overwrite",
    default=True,
    help="Leave pictures out that have a sidecar, or a caption in FILE; or do them all anew.  "
    "[default: skip]",
)
@click.option(
    "--batch",
    metavar="N",
    type=click.IntRange(1, 1000),
    default=16,
    show_default=True,
    help="Pictures in one request.",
)
@click.option(
    "--jobs",
    metavar="N",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Requests under way at the same time.",
)
@click.option(
    "--timeout",
    "timeout_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    default=300.0,
    show_default=True,
    help="Give a request up when nothing has come for this long.",
)
def caption(**given: Any) -> None:
    """Caption pictures.

    PATH is a picture, a folder (with all folders in it), a pattern such as "2024/**/*.jpg", or
    - to read a list from stdin: on each line a JSON string with a path, {"path": "a.jpg"}, or
    {"id": 7, "imgb64": "..."}.

    The captions are shown as a table, or as `path<TAB>caption` lines in a pipe. With --sidecars,
    --csv or --json they are written down instead. CAPTIONER_KEY is the API key to show, where the
    server asks for one.

    If a run is interrupted, the same command with
    --sidecars or --output goes on where it stopped.

    \b
    Examples:
      captioner caption photo.jpg
      captioner caption ~/Pictures/2024 --sidecars
      captioner caption ~/Pictures --csv --output captions.csv
      captioner caption "trip/**/*.jpg" --prompt "a photo of"
      find . -name "*.png" | jq -R . | captioner caption - --json

    \b
    Exit codes: 0 every picture has its caption, 1 a picture failed or the server
    is away, 2 the command, the model or the key is wrong, 130 interrupted.
    """
    options = Options(**given)
    options.check()

    from cli.captioning import run

    raise SystemExit(run(options))
