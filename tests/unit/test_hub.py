"""Models come from the hub as they come from a folder, and the commit is recorded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from captioner import catalog
from captioner.catalog import BUILT_IN, SCENES_FOLDER
from captioner.errors import ModelUnavailable
from captioner.settings import Settings
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


PINNED = """
import sys
from captioner.settings import Settings
from worker.engines.house import EngineHouse
house = EngineHouse(Settings(_env_file=None, device="cpu", engine="torch", max_batch=1))
for model in ("blip", "blip-large"):
    with house.using(model) as resident:
        print(resident.engine.revision)
"""


def pinned(revisions: str, *, hub: str, cache: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
    environment |= {"HF_ENDPOINT": hub, "HF_HOME": str(cache), "HF_HUB_DISABLE_TELEMETRY": "1"}
    environment |= {"CAPTIONER_MODELS": "blip,blip-large", "CAPTIONER_MODEL_REVISION": revisions}
    return subprocess.run(
        [sys.executable, "-c", PINNED],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_each_hub_model_may_have_a_revision_of_its_own(tmp_path: Path) -> None:
    large = next(entry.source for entry in BUILT_IN if entry.name == "blip-large")
    with serving({REPOSITORY: SCENES_FOLDER, large: SCENES_FOLDER}) as hub:
        done = pinned(f"blip={COMMIT}, blip-large=main", hub=hub, cache=tmp_path)
        assert done.stdout.split() == [COMMIT, COMMIT], done.stderr
        one_for_both = pinned(COMMIT, hub=hub, cache=tmp_path)
    assert f"blip={COMMIT},blip-large={COMMIT}" in one_for_both.stderr  # what to set instead
    assert "ModelUnavailable" in one_for_both.stderr


def of(revisions: str, models: str = "blip,blip-large,scenes") -> list[str]:
    settings = Settings(_env_file=None, models=models, model_revision=revisions)
    catalog.check_revisions(settings)
    return [catalog.revision_of(each, settings) for each in BUILT_IN[:3]]


def test_a_model_that_is_not_named_has_the_usual_revision() -> None:
    assert of("main") == ["main"] * 3
    assert of("") == ["main"] * 3
    assert of("blip-large=refs/pr/3") == ["main", "refs/pr/3", "main"]
    assert of("v2", models="blip,scenes")[0] == "v2"  # those of a folder have none


@pytest.mark.parametrize(
    ("revisions", "says"),
    [
        ("blip=", "'blip='"),
        ("=v2", "'=v2'"),
        ("a b", "'a b'"),
        ("v1,v2", "'v2'"),
        ("blip=v1,blip=v2", "'blip=v2'"),
        ("blip=v1,v2", "'v2'"),
    ],
)
def test_revisions_that_make_no_sense_are_refused_by_value(revisions: str, says: str) -> None:
    with pytest.raises(ValidationError, match="model_revision") as raised:
        Settings(_env_file=None, model_revision=revisions)
    assert says in str(raised.value)


@pytest.mark.parametrize(("revisions", "says"), [("blipp=v1", "blipp"), ("v1", "blip-large=v1")])
def test_revisions_that_fit_no_models_are_refused_by_name(revisions: str, says: str) -> None:
    with pytest.raises(ModelUnavailable, match=says):
        of(revisions)
