"""No command opens the service to other machines without keys, unless it is told to."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.e2e.test_up import home
from tests.processes import CAPTIONER, answers, environment, free_port, running, until

PUBLIC = "--host=0.0.0.0"
ANSWERS = [("off", 200), ("required", 401)]


def called(folder: Path, *words: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """A command that is expected to end by itself."""
    told = environment({"CAPTIONER_DATA_DIR": str(folder), "CAPTIONER_MODEL": "scenes", **extra})
    return subprocess.run(
        [CAPTIONER, *words], env=told, cwd=folder, capture_output=True, text=True, timeout=120
    )


@contextmanager
def api(folder: Path, extra: Mapping[str, str]) -> Iterator[str]:
    """`captioner api` at every address of this machine, once it answers."""
    port = free_port()
    told = {"CAPTIONER_DATA_DIR": str(folder), "CAPTIONER_MODEL": "scenes", **extra}
    command = [CAPTIONER, "api", PUBLIC, f"--port={port}"]
    with running(command, told, log=folder / "api.log"):
        base = f"http://127.0.0.1:{port}"
        until(lambda: answers(f"{base}/healthz"), what="API")
        yield base


@pytest.mark.parametrize("command", ["api", "up"])
def test_a_command_ends_at_once_and_says_what_to_do(tmp_path: Path, command: str) -> None:
    assert called(tmp_path, "db", "upgrade").returncode == 0

    ended = called(tmp_path, command, PUBLIC, f"--port={free_port()}")

    assert ended.returncode == 1
    assert "0.0.0.0 can be reached from other machines, and there is no API key." in ended.stderr
    for advice in ("captioner keys create", "CAPTIONER_AUTH=required", "CAPTIONER_AUTH=off"):
        assert advice in ended.stderr


def test_debug_is_not_for_other_machines(tmp_path: Path) -> None:
    ended = called(tmp_path, "api", PUBLIC, CAPTIONER_AUTH="off", CAPTIONER_DEBUG="true")

    assert ended.returncode == 1
    assert "CAPTIONER_DEBUG is for this machine alone" in ended.stderr


def test_with_a_key_the_api_opens_and_asks_for_it(tmp_path: Path) -> None:
    assert called(tmp_path, "db", "upgrade").returncode == 0
    key = called(tmp_path, "keys", "create", "--owner=me", "--scope=read").stdout.strip()

    with api(tmp_path, {}) as base:
        assert httpx.get(f"{base}/captionImage").status_code == 401
        shown = {"Authorization": f"Bearer {key}"}
        assert httpx.get(f"{base}/captionImage", headers=shown).status_code == 200


@pytest.mark.parametrize(("auth", "status"), ANSWERS)
def test_an_api_that_is_told_to_opens(tmp_path: Path, auth: str, status: int) -> None:
    assert called(tmp_path, "db", "upgrade").returncode == 0

    with api(tmp_path, {"CAPTIONER_AUTH": auth}) as base:
        assert httpx.get(f"{base}/captionImage").status_code == status


def test_the_whole_service_opens_when_told_to_and_warns(tmp_path: Path) -> None:
    with home(tmp_path / "data", PUBLIC, CAPTIONER_AUTH="off") as up:
        until(lambda: answers(f"{up.url}/healthz"), what="API", timeout_s=120)
        assert httpx.get(f"{up.url}/captionImage").status_code == 200
        assert "Warning: 0.0.0.0 can be reached from other machines" in up.said
