"""Every curl line of the documentation is run as it is printed, against a running service."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests import processes, talker
from tests.contract.conftest import stack as stack
from tests.gemini_server import serving as gemini_serving
from tests.integration.calls import files, finished, ready_models
from tests.integration.styling import environment
from tests.picture_server import allowing, serving
from tests.pictures import encoded, plain
from tests.processes import ROOT
from tests.receivers import SECRET, receiver
from tests.stacks import Stack

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ELSEWHERE = {"access.md", "images.md", "vlm.md"}
"""Their guides have tests of their own, as one step needs what the last one gave."""
PICTURES = ("one.jpg", "two.png", "two.jpg", "three.jpg", "photo.jpg", "cat.jpg",
            "examples/red-star.png")  # fmt: skip
COLOURS = ("red", "green", "blue", "navy", "gold", "gray", "teal")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
UUIDGEN = '#!/bin/sh\nexec python3 -c "import uuid; print(uuid.uuid4())"\n'


def commands(page: Path) -> list[str]:
    """Each with all of its lines, as far as its quotes and backslashes go."""
    found = []
    for kind, block in BLOCK.findall(page.read_text("utf-8")):
        if kind != "sh":
            continue
        lines = iter(block.splitlines())
        for line in lines:
            if not line.startswith("curl "):
                continue
            while True:
                try:
                    shlex.split(line)
                    break
                except ValueError:  # it goes on in the next line
                    line += "\n" + next(lines)
            found.append(line)
    return found


CALLS = [
    pytest.param(command, id=f"{page.stem}-{n}")
    for page in PAGES
    if page.name not in ELSEWHERE
    for n, command in enumerate(commands(page), 1)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands are run: their pictures, and what Debian has in a package of its own."""
    folder = tmp_path_factory.mktemp("curl")
    (folder / "examples").mkdir()
    for name, colour in zip(PICTURES, COLOURS, strict=True):
        kind = "JPEG" if name.endswith("jpg") else "PNG"
        (folder / name).write_bytes(encoded(Image.new("RGB", (64, 48), colour), kind))
    (folder / "uuidgen").write_text(UUIDGEN)
    (folder / "uuidgen").chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def places(stack: Stack, folder: Path) -> Iterator[dict[str, str]]:
    """What stands in the documentation, and what it is here; jobs to ask for among it."""
    models = {"CAPTIONER_MODEL": "blip", "CAPTIONER_MODELS": "blip,gemma"}
    with gemini_serving() as gemini, serving() as host, receiver() as hook:
        for name in PICTURES[:2]:
            host.add(f"/{name}", (folder / name).read_bytes())
        env = environment(stack, gemini, webhook_secrets=SECRET)
        env |= {**models, **allowing(host), "CAPTIONER_OUTBOUND_ALLOW": "127.0.0.1:*"}
        worker = processes.running(talker.COMMAND, env, log=folder / "talker.log")
        with (
            processes.service(env, folder, workers=0, ready=False) as base,
            worker,
            httpx.Client(base_url=base, timeout=60) as http,
        ):
            ready = lambda: ready_models(http) == {"blip", "gemma"}  # noqa: E731
            processes.until(ready, what="ready models", timeout_s=120)
            told = [job(http, webhook=hook.url) for _ in range(4)]
            (webhook,) = http.get(f"/captionImage/{told[0]}/webhooks").json()
            jobs = f"{base}/captionImage"
            yield {
                "DELETE http://127.0.0.1:8000/captionImage/ID": f"DELETE {jobs}/{told[3]}",
                "http://127.0.0.1:8000": base,
                "https://pictures.example": f"http://{host.host}:{host.port}",
                "https://example.com/captions": hook.url,
                "WEBHOOK-ID": webhook["id"],
                "ID1": told[1],
                "ID2": told[2],
                "/ID": f"/{told[0]}",
            }


def job(http: httpx.Client, webhook: str) -> str:
    answer = http.post("/captionImage", files=files(plain()), data={"webhook": webhook})
    assert answer.status_code == 202, answer.text
    job: str = finished(http, answer.headers["Location"])["id"]
    return job


def test_all_pages_were_looked_through() -> None:
    assert {"README.md", "tutorial.md", "http.md", "styling.md", "words.md", "events.md"} <= {
        page.name for page in PAGES if commands(page)
    }
    assert len(CALLS) >= 25


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_command_stands_where_it_would_not_be_run(page: Path) -> None:
    blocks = [block for _, block in BLOCK.findall(page.read_text("utf-8"))]
    told = [line for block in blocks for line in block.splitlines() if re.search(r"\bcurl\b", line)]

    assert told == [command.partition("\n")[0] for command in commands(page)]


def test_a_job_is_followed_as_its_page_shows(places: dict[str, str], folder: Path) -> None:
    page = ROOT / "docs" / "guides" / "events.md"
    (command,) = commands(page)
    printed = re.findall(r"^event: (\w+)$", page.read_text("utf-8"), re.MULTILINE)

    happened = re.findall(r"^event: (\w+)$", run(command, places, folder).stdout, re.MULTILINE)

    assert printed == ["accepted", "progress", "image", "end"]
    assert [name for name in happened if name != "progress"] == [
        "accepted",
        "image",
        "image",
        "end",
    ]


@pytest.mark.parametrize("command", CALLS)
def test_a_command_works_as_it_is_printed(
    places: dict[str, str], folder: Path, command: str
) -> None:
    done = run(command, places, folder)

    assert done.returncode == 0, (command, done.stdout, done.stderr)
    assert done.stdout.strip() or " DELETE " in command


def run(command: str, places: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """A command as it is printed, but for the places in it."""
    for printed, here in places.items():
        command = command.replace(printed, here)
    return subprocess.run(
        ["bash", "-c", command.replace("curl ", "curl --fail-with-body --silent ", 1)],
        cwd=folder, env={**os.environ, "PATH": f"{os.environ['PATH']}:{folder}"},
        capture_output=True, text=True, check=False, timeout=90,
    )  # fmt: skip
