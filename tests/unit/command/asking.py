"""Short words for what the tests of `captioner caption` do."""

import json
import os
from pathlib import Path

from caption_server import caption_of
from click.testing import CliRunner

from cli.main import main

ROOT = Path(__file__).parents[3]


def picture(path: Path | str, data: bytes | None = None) -> str:
    """Write a file of distinct bytes, and return its caption."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = data if data is not None else os.fsencode(f"picture {path.name}")
    path.write_bytes(content)
    return caption_of(content)


def caption(server, *arguments, stdin: str | None = None):
    """Run the command against a server, or against an address."""
    url = server if isinstance(server, str) else server.url
    return CliRunner().invoke(main, ["caption", "--server", url, *arguments], input=stdin)


def json_rows(text: str) -> dict[str, dict]:
    """JSON lines by their path."""
    return {row["path"]: row for row in map(json.loads, text.splitlines())}
