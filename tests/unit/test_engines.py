"""The BLIP engine answers as transformers does, and refuses what it cannot load honestly."""

import json
import pickle
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import BlipForConditionalGeneration, BlipProcessor

from captioner.catalog import SCENES_FOLDER
from captioner.errors import ModelNotReady, ModelUnavailable
from captioner.images import fit
from captioner.options import Options
from captioner.settings import Settings
from scripts.scenes import draw
from tests.pictures import scenes
from worker.engines import blip_reference
from worker.engines.device import Placement, native, place
from worker.engines.loading import from_source, warm_up
from worker.engines.weights import Weights, fetch

CPU = Placement(torch.device("cpu"), torch.float32, "a test")
COUNT = 96


def load(source: Path | str) -> blip_reference.BlipEngine:
    return blip_reference.load(str(source), revision="main", placement=CPU, max_new_tokens=20)


@pytest.fixture(scope="module")
def engine() -> blip_reference.BlipEngine:
    return load(SCENES_FOLDER)


@pytest.fixture(scope="module")
def drawn() -> list[Image.Image]:
    return [draw(scene, width=320, height=240) for scene in scenes(COUNT, seed=5)]


@pytest.fixture(scope="module")
def reference(drawn) -> list[list[int]]:
    """Token ids by transformers alone: its processor, its `generate`, one picture at a time."""
    model = BlipForConditionalGeneration.from_pretrained(SCENES_FOLDER, dtype=torch.float32).eval()
    processor = BlipProcessor.from_pretrained(SCENES_FOLDER)
    answers = []
    for picture in drawn:
        inputs = processor(images=picture, return_tensors="pt")
        with torch.inference_mode():
            answers.append(model.generate(**inputs, max_new_tokens=20)[0].tolist())
    return answers


@pytest.mark.parametrize("size", range(1, 17))
def test_batches_of_every_size_equal_generate_token_for_token(
    engine, drawn, reference, size
) -> None:
    pixels = [fit(picture, engine.image_size) for picture in drawn]
    answers = []
    for start in range(0, COUNT, size):
        answers += engine.caption(pixels[start : start + size])
    assert [list(answer.tokens) for answer in answers] == reference


def test_a_prompt_is_given_to_generate_as_the_processor_would(engine, drawn) -> None:
    model = BlipForConditionalGeneration.from_pretrained(SCENES_FOLDER, dtype=torch.float32).eval()
    processor = BlipProcessor.from_pretrained(SCENES_FOLDER)
    inputs = processor(images=drawn[:8], text=["a"] * 8, return_tensors="pt")
    with torch.inference_mode():
        expected = processor.batch_decode(
            model.generate(**inputs, max_new_tokens=20), skip_special_tokens=True
        )
    pixels = [fit(picture, engine.image_size) for picture in drawn[:8]]
    assert [a.text for a in engine.caption(pixels, Options(prompt="a"))] == [
        e.strip() for e in expected
    ]


@pytest.mark.parametrize("beams", [1, 3])
def test_what_may_not_come_twice_is_as_generate_has_it(engine, drawn, beams) -> None:
    model = BlipForConditionalGeneration.from_pretrained(SCENES_FOLDER, dtype=torch.float32).eval()
    processor = BlipProcessor.from_pretrained(SCENES_FOLDER)
    bounds = {"min_new_tokens": 20, "max_new_tokens": 30, "num_beams": beams}
    expected = []
    for picture in drawn[:16]:
        inputs = processor(images=picture, return_tensors="pt")
        with torch.inference_mode():
            made = model.generate(**inputs, **bounds, no_repeat_ngram_size=2)[0]
        expected.append([token for token in made.tolist() if token != model.config.text_config.pad_token_id])  # noqa: E501 # fmt: skip
    pixels = [fit(picture, engine.image_size) for picture in drawn[:16]]
    answers = engine.caption(pixels, Options(no_repeat_ngram=2, **bounds))
    assert [list(answer.tokens) for answer in answers] == expected
    assert answers != engine.caption(pixels, Options(**bounds))


def test_the_revision_of_a_folder_is_the_hash_of_its_files(engine, folder) -> None:
    assert engine.revision.startswith("sha256:")
    assert (
        engine.revision == load(SCENES_FOLDER).revision == fetch(str(folder), revision="").revision
    )


def test_a_folder_whose_words_change_is_of_another_revision(engine, folder) -> None:
    found = {engine.revision}
    for name in ("tokenizer.json", "preprocessor_config.json", "generation_config.json"):
        path = folder / name
        text = path.read_text() if path.exists() else "{}"
        path.write_text(text + "\n")
        found.add(fetch(str(folder), revision="").revision)
    (folder / "generation_config.json").rename(folder / "other.json")
    found.add(fetch(str(folder), revision="").revision)
    (folder / "notes.md").write_text("of no matter")
    found.add(fetch(str(folder), revision="").revision)
    assert len(found) == 5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the checkpoint, to be damaged."""
    return Path(shutil.copytree(SCENES_FOLDER, tmp_path / "model"))


def test_networks_are_built_one_at_a_time() -> None:
    together, met = threading.Barrier(2), []

    def build(weights: Weights) -> Weights:
        try:
            together.wait(timeout=0.5)
        except threading.BrokenBarrierError:
            return weights
        met.append(weights)
        return weights

    with ThreadPoolExecutor(2) as threads:
        loads = [
            threads.submit(from_source, str(SCENES_FOLDER), revision="main", build=build)
            for _ in range(2)
        ]
        assert all(load.result().folder == SCENES_FOLDER for load in loads)
    assert met == []


def test_a_missing_folder_is_unavailable_with_its_name() -> None:
    with pytest.raises(ModelUnavailable, match="no/such/folder"):
        load("no/such/folder")


def test_weights_cut_short_are_unavailable_until_they_are_whole(folder: Path) -> None:
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:1000])
    with pytest.raises(ModelNotReady):
        load(folder)
    weights.write_bytes(whole)
    assert load(folder)


def test_weights_that_lack_a_part_are_unavailable_not_noise(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors.pop(next(name for name in tensors if "vision_model.encoder.layers.0" in name))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelUnavailable, match="lack") as raised:
        load(folder)
    assert not raised.value.retryable


def test_another_architecture_is_refused_by_name(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
    with pytest.raises(ModelUnavailable, match="bert"):
        load(folder)


class Bomb:
    """Unpickling it writes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def test_a_hostile_pickle_is_never_executed(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    with (folder / "pytorch_model.bin").open("wb") as file:
        pickle.dump(Bomb(tmp_path / "boom"), file)
    with pytest.raises(ModelUnavailable):
        load(folder)
    torch.save({"weight": Bomb(tmp_path / "boom")}, folder / "pytorch_model.bin")
    with pytest.raises(ModelUnavailable):
        load(folder)
    assert not (tmp_path / "boom").exists()


def test_custom_code_is_never_executed(folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "evil.Config"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'boom')!r}, 'w')\nclass Config: ...")
    with pytest.raises(ModelUnavailable):
        load(folder)
    assert not (tmp_path / "boom").exists()


def test_a_gpu_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(ModelUnavailable, match="cuda:63"):
        place(Settings(device="cuda:63"))


def test_the_device_is_chosen_with_a_reason() -> None:
    placement = place(Settings(device="cpu", engine="torch"))
    assert placement.name == "cpu float32"
    assert "device set to cpu" in placement.reason


def test_a_cpu_runs_openvino_in_the_format_that_the_processor_has() -> None:
    placement = place(Settings(device="cpu"))
    assert placement.library == "openvino"
    assert placement.dtype == native()
    assert place(Settings(device="cpu", dtype="float32")).name == "cpu float32 (openvino)"


def test_eight_bits_need_openvino_and_leave_other_networks_as_they_are() -> None:
    placement = place(Settings(device="cpu", dtype="int8"))
    assert (placement.name, placement.exact) == ("cpu int8 (openvino)", torch.float32)
    with pytest.raises(ModelUnavailable, match="int8 needs OpenVINO"):
        place(Settings(device="cpu", dtype="int8", engine="torch"))


def test_weights_as_a_safe_pickle_load_too(folder: Path, engine, drawn) -> None:
    from safetensors.torch import load_file

    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    pixels = [fit(drawn[0], engine.image_size)]
    assert load(folder).caption(pixels) == engine.caption(pixels)


def test_grey_pixels_are_captioned_without_a_fault(engine) -> None:
    height, width = engine.image_size
    (answer,) = engine.caption([np.full((height, width, 3), 128, np.uint8)])
    assert isinstance(answer.text, str)


class Sized:
    """Notes the sizes of its batches, and has memory for four pictures."""

    image_size = (8, 8)

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def caption(self, pictures, *_: object) -> list:
        self.sizes.append(len(pictures))
        if len(pictures) > 4:
            raise MemoryError
        return [None] * len(pictures)


@pytest.mark.parametrize(("batch", "sizes"), [(1, [1]), (4, [1, 4]), (16, [1, 16])])
def test_an_engine_is_warm_for_single_pictures_and_full_batches(batch, sizes) -> None:
    engine = Sized()
    warm_up(engine, batch=batch)
    assert engine.sizes == sizes
