"""What `captioner up` and its parts say where they cannot start, and once they have."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from captioner.settings import Settings
from cli import data_folder
from cli.household import Ready
from cli.session import Place, greeting
from tests.processes import environment


@pytest.fixture
def taken() -> Iterator[int]:
    """A port at which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def refused(folder: Path, *arguments: str) -> str:
    """What a command says that must end by itself, with 1."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "cli.main", *arguments],
        env=environment({"CAPTIONER_DATA_DIR": str(folder), "CAPTIONER_MODEL": "scenes"}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    return done.stderr


@pytest.mark.parametrize("command", ["api", "flower", "up"])
def test_a_port_that_is_taken_is_refused_in_a_line(tmp_path, taken, command) -> None:
    assert refused(tmp_path, command, f"--port={taken}") == (
        f"Error: Port {taken} of 127.0.0.1 is taken by another program. Choose another: --port.\n"
    )


def test_a_folder_in_which_captioner_runs_says_so_before_its_port_does(tmp_path, taken) -> None:
    with data_folder.prepare(tmp_path).lock():
        said = refused(tmp_path, "up", f"--port={taken}")
    assert said.startswith("Error: Another captioner (process ")


def greeted(folder: Path, **changes: str) -> str:
    place = Place(Settings(data_dir=folder, **changes), data_folder.prepare(folder), None)
    lines = greeting(place, Ready(seconds=1, has_page=True))
    place.folder.tidy()
    return "\n".join(lines)


def test_where_keys_are_asked_for_the_line_to_try_shows_one_and_how_to_make_it(tmp_path) -> None:
    said = greeted(tmp_path / "my data", auth="required")
    assert "  curl -H 'Authorization: Bearer KEY' -F images=@" in said
    assert f"  CAPTIONER_DATA_DIR='{tmp_path}/my data' captioner keys create --owner me" in said
    elsewhere = greeted(tmp_path, auth="required", database_url="postgresql+psycopg://db/x")
    assert "  captioner keys create --owner me" in elsewhere


def test_where_no_keys_are_asked_for_none_is_spoken_of(tmp_path) -> None:
    said = greeted(tmp_path, auth="auto")
    assert "  curl -F images=@" in said
    assert "KEY" not in said
