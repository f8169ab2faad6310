"""An operator's own weights are run by the engine that their config.json asks for."""

import json
from pathlib import Path

import pytest

from captioner import catalog
from captioner.catalog import BUILT_IN, CHAT_KINDS, MODEL_TYPES, SCENES_FOLDER
from captioner.errors import InvalidOption, ModelUnavailable
from captioner.options import CHATTING, COMPLETING, Options, check
from captioner.settings import Settings
from tests import standins
from worker.engines.blip import FastBlipEngine
from worker.engines.blip2 import Blip2Engine
from worker.engines.chat import ChatEngine
from worker.engines.house import EngineHouse
from worker.engines.kinds import KINDS

ENGINES = {"blip2": Blip2Engine, "intern_vlm": ChatEngine, "gemma": ChatEngine}


def settings(source: Path | str, **more: object) -> Settings:
    return Settings(
        _env_file=None,
        model="mine",
        models=("mine",),
        model_sources={"mine": str(source)},
        device="cpu",
        dtype="float32",
        **more,
    )


@pytest.mark.parametrize("kind", sorted(ENGINES))
def test_a_folder_is_run_by_the_engine_of_its_config(kind: str, tmp_path: Path) -> None:
    folder = standins.MAKERS[kind](tmp_path / "model")
    house = EngineHouse(settings(folder))
    try:
        with house.using("mine") as resident:
            assert isinstance(resident.engine, ENGINES[kind])
    finally:
        house.close()


def test_a_folder_with_a_blip_is_run_as_one() -> None:
    house = EngineHouse(settings(SCENES_FOLDER))
    try:
        with house.using("mine") as resident:
            assert isinstance(resident.engine, FastBlipEngine)
    finally:
        house.close()


def test_a_network_that_none_can_run_is_refused_with_those_that_can(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    house = EngineHouse(settings(tmp_path))
    refused = pytest.raises(ModelUnavailable, match=r"'llama'.*blip-2, gemma3, internvl")
    with refused, house.using("mine"):
        pass


def test_a_folder_of_a_chat_model_takes_a_chat_models_options(tmp_path: Path) -> None:
    folder = standins.gemma(tmp_path / "model")
    entry = catalog.find("mine", settings(folder))
    check(Options(system="Be terse.", language="de"), entry.limits, model="mine")
    entry = catalog.find("mine", settings(SCENES_FOLDER))
    with pytest.raises(InvalidOption, match="system"):
        check(Options(system="Be terse."), entry.limits, model="mine")


def test_a_hub_id_takes_what_every_model_takes() -> None:
    assert catalog.find("mine", settings("me/my-model")).limits == COMPLETING


@pytest.mark.parametrize("entry", BUILT_IN, ids=lambda entry: entry.name)
def test_a_built_in_model_has_an_engine_and_the_limits_of_its_kind(entry) -> None:
    assert entry.kind in KINDS
    assert entry.kind in MODEL_TYPES.values()
    assert entry.limits == (CHATTING if entry.kind in CHAT_KINDS else COMPLETING)


def test_a_large_model_takes_small_batches_unless_the_operator_says_otherwise() -> None:
    (gemma,) = (entry for entry in BUILT_IN if entry.name == "gemma")
    assert catalog.batch_of(gemma, Settings(_env_file=None)) == gemma.batch < 16
    assert catalog.batch_of(gemma, Settings(_env_file=None, max_batch=64)) == 64


def test_batches_are_small_on_a_cpu_unless_the_operator_says_otherwise() -> None:
    blip = catalog.entries(Settings(_env_file=None))["blip"]
    on_cpu, on_gpu = (
        catalog.batch_of(blip, Settings(_env_file=None), device=device)
        for device in ("cpu bfloat16 (openvino)", "cuda:0 bfloat16")
    )
    assert (on_cpu, on_gpu) == (blip.batch_on_cpu, blip.batch)
    assert on_cpu < on_gpu
    assert catalog.batch_of(blip, Settings(_env_file=None, max_batch=64), device="cpu") == 64
