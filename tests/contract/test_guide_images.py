"""The calls of the guide are made as they are printed there."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.integration.calls import finished
from tests.pictures import png, sure

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "images.md"
PRINTED = "http://127.0.0.1:8000"
TEXT = GUIDE.read_text(encoding="utf-8")
CALLS = [line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) for line in
         block.strip().splitlines()]  # fmt: skip
SHOWN = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]


def same_names(shown: object, given: object) -> bool:
    if shown is None or given is None or not isinstance(shown, dict):
        return True
    assert isinstance(given, dict)
    return list(shown) == list(given) and all(same_names(shown[n], given[n]) for n in shown)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guide")
    (folder / "one.jpg").write_bytes(png(sure(1)[0]))
    return folder


def called(line: str, service: str, folder: Path, image_id: str = "") -> str:
    command = line.replace(PRINTED, service).replace("/ID", f"/{image_id}")
    assert command.startswith("curl ")
    done = subprocess.run(
        ["bash", "-c", command.replace("curl ", "curl --fail-with-body --silent ", 1)],
        cwd=folder, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def test_the_calls_of_the_guide_work_as_they_are_printed(service, http, folder) -> None:
    first, *others = CALLS
    sent = json.loads(called(first, service, folder))
    assert same_names(SHOWN[0], sent)
    image_id = sent["image_id"]
    finished(http, f"/api/images/{image_id}")
    answers = {line: called(line, service, folder, image_id) for line in others}

    assert len(answers) == len(others) == 7
    (whole,) = (each for line, each in answers.items() if line.endswith("/api/images/ID"))
    (stats,) = (each for line, each in answers.items() if line.endswith("/api/stats"))
    assert same_names(SHOWN[1], json.loads(whole))
    assert same_names(SHOWN[2], json.loads(stats))
    for name, side in (("small", 64), ("medium", 128)):
        with Image.open(folder / f"{name}.jpg") as thumbnail:
            assert max(thumbnail.size) == side
