"""Chat models are loaded whole or refused with the reason, with torchvision and without."""

import json
from pathlib import Path

import pytest

from captioner.errors import ModelNotReady, ModelUnavailable
from tests import standins
from tests.unit.asking import without
from tests.unit.chatting import MODULES, load
from worker.engines import intern_vlm
from worker.engines.weights import fetch


@pytest.fixture(params=sorted(MODULES))
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def folder(kind: str, tmp_path: Path) -> Path:
    """A checkpoint, to be damaged."""
    return standins.MAKERS[kind](tmp_path / "model")


def test_no_part_that_needs_torchvision_is_loaded_whether_it_is_there_or_not(
    kind: str, folder: Path
) -> None:
    engine = load(kind, folder)
    parts = type(engine._text._processor).get_attributes()
    assert sorted(parts) == ["image_processor", "tokenizer"]


def test_internvl_loads_without_torchvision(tmp_path: Path) -> None:
    folder = standins.intern_vlm(tmp_path / "model")
    processor = intern_vlm.PictureProcessor.from_pretrained(folder)
    assert processor.image_seq_length == 4
    assert processor.chat_template == standins.INTERN_TEMPLATE
    assert fetch(str(folder), revision="main").revision == load("intern_vlm", folder).revision


def test_another_architecture_is_refused_by_name(kind: str, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
    with pytest.raises(ModelUnavailable, match="bert"):
        load(kind, folder)


def test_weights_that_lack_a_part_are_unavailable_not_noise(kind: str, folder: Path) -> None:
    without(folder, weight="layers.0")
    with pytest.raises(ModelUnavailable, match="lack") as raised:
        load(kind, folder)
    assert not raised.value.retryable


def test_weights_cut_short_are_waited_for(kind: str, folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelNotReady):
        load(kind, folder)


def test_a_model_without_a_chat_template_is_refused(kind: str, folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelUnavailable, match="chat template"):
        load(kind, folder)
