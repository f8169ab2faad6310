"""The commands of the guide do what it says: each is run, and its answer has the form shown."""

import json
import re
import subprocess
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from tests.contract.vlm import gemini as gemini
from tests.contract.vlm import http as http
from tests.contract.vlm import stack as stack
from tests.pictures import encoded
from tests.processes import ROOT
from tests.vllm_server import painted

GUIDE = (ROOT / "docs" / "guides" / "vlm.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", GUIDE, re.DOTALL)
COMMANDS = [text for kind, text in BLOCKS if kind == "sh"]
SHOWN = [
    (one[1], other[1]) for one, other in pairwise(BLOCKS) if (one[0], other[0]) == ("sh", "json")
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, colour in (("one", "red"), ("two", "green"), ("three", "blue")):
        (tmp_path / f"{name}.jpg").write_bytes(encoded(painted(colour), "JPEG"))
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    return tmp_path


def answer(http: httpx.Client, command: str, folder: Path) -> dict:
    here = command.replace("http://127.0.0.1:8000", str(http.base_url).rstrip("/"))
    done = subprocess.run(
        ["sh", "-c", here.replace("curl ", "curl --silent --show-error --fail ", 1)],
        cwd=folder, capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def form(value: object) -> object:
    """What a JSON value is made of: lists keep their lengths where they hold objects."""
    match value:
        case dict():
            return {name: form(each) for name, each in value.items()}
        case list() if value and isinstance(value[0], dict):
            return [form(each) for each in value]
    return type(value).__name__ if not isinstance(value, bool | None) else "flag"


def test_the_guide_has_commands() -> None:
    assert len(COMMANDS) == 5
    assert len(SHOWN) == 4


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_guide_works(http: httpx.Client, folder: Path, command: str) -> None:
    assert answer(http, command, folder)


@pytest.mark.parametrize(("command", "shown"), SHOWN)
def test_an_answer_has_the_form_that_is_shown(
    http: httpx.Client, folder: Path, command: str, shown: str
) -> None:
    assert form(answer(http, command, folder)) == form(json.loads(shown))


def test_what_the_page_calls_is_what_it_is(http: httpx.Client) -> None:
    names = {model["name"] for model in http.get("/api/models").json()["models"]}
    assert set(re.findall(r"[?&]model=(\w+)", GUIDE)) <= names
