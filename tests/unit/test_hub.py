"""Models come from the hub as they come from a folder, and the commit is recorded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from captioner.catalog import BUILT_IN, SCENES_FOLDER
from tests.hub import COMMIT, serving

LOAD = """
import sys, numpy as np, torch
from worker.engines import blip_reference
from worker.engines.device import Placement
cpu = Placement(torch.device("cpu"), torch.float32, "a test")
engine = blip_reference.load(sys.argv[1], revision=sys.argv[2], placement=cpu, max_new_tokens=20)
height, width = engine.image_size
print(engine.revision, engine.caption([np.full((height, width, 3), 9, np.uint8)]))
"""
REPOSITORY = next(entry.source for entry in BUILT_IN if entry.name == "blip")


def load(
    source: str, *, hub: str, cache: Path, revision: str = "main"
) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
    environment |= {"HF_ENDPOINT": hub, "HF_HOME": str(cache), "HF_HUB_DISABLE_TELEMETRY": "1"}
    return subprocess.run(
        [sys.executable, "-c", LOAD, source, revision],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_a_hub_model_is_loaded_and_its_commit_is_recorded(tmp_path: Path, revision: str) -> None:
    folder = load(str(SCENES_FOLDER), hub="http://127.0.0.1:1", cache=tmp_path / "unused")
    with serving({REPOSITORY: SCENES_FOLDER}) as hub:
        done = load(REPOSITORY, hub=hub, cache=tmp_path, revision=revision)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == COMMIT
    assert done.stdout.split()[1:] == folder.stdout.split()[1:]


def test_a_cached_model_loads_while_the_hub_is_away(tmp_path: Path) -> None:
    with serving({REPOSITORY: SCENES_FOLDER}) as hub:
        assert load(REPOSITORY, hub=hub, cache=tmp_path).returncode == 0
    done = load(REPOSITORY, hub=hub, cache=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == COMMIT


def test_a_hub_that_is_away_makes_the_model_unavailable(tmp_path: Path) -> None:
    done = load(REPOSITORY, hub="http://127.0.0.1:1", cache=tmp_path)
    assert done.returncode != 0
    assert "HubUnavailable" in done.stderr  # is waited for
    assert REPOSITORY in done.stderr


def test_a_repository_that_does_not_exist_makes_the_model_unavailable(tmp_path: Path) -> None:
    with serving({}) as hub:
        done = load("nobody/nothing", hub=hub, cache=tmp_path)
    assert "ModelUnavailable" in done.stderr
    assert "nobody/nothing" in done.stderr
