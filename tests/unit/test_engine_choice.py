"""From the settings to a caption: `CAPTIONER_ENGINE` and `CAPTIONER_DTYPE` are what runs."""

import numpy as np
import pytest

from captioner import catalog
from captioner.images import fit
from captioner.settings import Settings
from scripts.scenes import draw
from tests import standins
from tests.pictures import sure
from tests.unit.asking import CPU
from worker.engines import blip2
from worker.engines.blip import FastBlipEngine, TorchNetwork
from worker.engines.blip_openvino import OpenVinoNetwork
from worker.engines.blip_reference import BlipEngine
from worker.engines.kinds import KINDS
from worker.engines.protocol import Engine
from worker.engines.stages import measured

DRAWN = sure(3, seed=61)
RIGHT = [scene.caption for scene in DRAWN]
NETWORKS = {"torch": TorchNetwork, "openvino": OpenVinoNetwork}


def made(**given: str) -> tuple[str, Engine]:
    """Where it runs, and the engine of `scenes`, as a worker with these settings has it."""
    settings = Settings(_env_file=None, model="scenes", device="cpu", max_batch=3, **given)
    entry = catalog.find("scenes", settings)
    maker = KINDS[entry.kind](settings)
    return maker.device, maker.make(entry)


def pixels(engine: Engine) -> list[np.ndarray]:
    return [fit(draw(scene, width=160, height=120), engine.image_size) for scene in DRAWN]


def texts(engine: Engine) -> list[str]:
    return [answer.text for answer in engine.caption(pixels(engine))]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_loop_runs_on_the_library_that_was_named(name: str) -> None:
    device, engine = made(engine=name, dtype="float32")
    assert isinstance(engine, FastBlipEngine)
    assert isinstance(engine._network, NETWORKS[name])
    assert device == ("cpu float32" if name == "torch" else "cpu float32 (openvino)")
    assert texts(engine) == RIGHT


def test_the_reference_is_transformers_generate_and_nothing_of_ours() -> None:
    device, engine = made(engine="reference")
    assert type(engine) is BlipEngine
    assert device == "cpu float32 (reference)"
    assert texts(engine) == RIGHT


def test_eight_bits_are_a_setting_and_give_the_right_captions() -> None:
    device, engine = made(dtype="int8")
    assert device == "cpu int8 (openvino)"
    assert texts(engine) == RIGHT
    exact = made(dtype="float32")[1]
    assert [a.score for a in engine.caption(pixels(engine))] != [
        a.score for a in exact.caption(pixels(exact))
    ]


@pytest.mark.parametrize("name", NETWORKS)
def test_looking_at_pictures_is_a_stage_of_its_own(name: str) -> None:
    engine = made(engine=name)[1]
    with measured() as seconds:
        engine.caption(pixels(engine))
    assert set(seconds) == {"encode", "generate"}
    assert min(seconds.values()) > 0


def test_blip2_attends_by_pytorchs_own_kernel(tmp_path) -> None:
    folder = standins.blip2(tmp_path / "model")
    engine = blip2.load(str(folder), revision="main", placement=CPU, max_new_tokens=20)
    assert engine._model.language_model.config._attn_implementation == "sdpa"
    assert engine._model.vision_model.config._attn_implementation == "sdpa"
