"""Real engines in fewer places than there are models: loaded on demand, and their memory freed."""

import gc
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from captioner.catalog import SCENES_FOLDER
from captioner.settings import Settings
from tests import standins
from worker.engines.house import EngineHouse
from worker.engines.wishes import Wish
from worker.leases import Halt
from worker.meters import Meters

MESSAGES, EACH = 12, 4


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder: Path = tmp_path_factory.mktemp("models")
    sources = {
        "shapes": str(SCENES_FOLDER),
        "chat": str(standins.intern_vlm(folder / "chat")),
    }
    return Settings(
        _env_file=None,
        model="shapes",
        models=tuple(sources),
        model_sources=sources,
        model_capacity=1,
        model_turn_s=5,
        max_new_tokens=4,
        device="cpu",
        dtype="float32",
    )


@pytest.fixture
def meters() -> Meters:
    return Meters()


@pytest.fixture
def house(settings: Settings, meters: Meters) -> Iterator[EngineHouse]:
    made = EngineHouse(settings, meters)
    yield made
    made.close()


def states(house: EngineHouse) -> dict[str, str | None]:
    return {name: state["state"] for name, state in house.states().items()}


def test_at_first_there_is_the_default_model_and_the_other_is_on_demand(house) -> None:
    assert states(house) == {"shapes": "not loaded", "chat": "on demand"}
    house.load_all()
    house.load_all()
    assert states(house) == {"shapes": "ready", "chat": "on demand"}
    assert house.states()["chat"]["version"] is None


def test_a_model_that_made_room_is_freed_and_its_version_is_known_still(house) -> None:
    with house.using("shapes") as resident:
        gone, version = weakref.ref(resident.engine), resident.version
    del resident
    with house.using("chat"):
        gc.collect()
        assert gone() is None
        assert states(house) == {"shapes": "on demand", "chat": "ready"}
        assert house.states()["shapes"]["version"] == version
    house.load_all()  # takes the place from nobody
    assert states(house) == {"shapes": "on demand", "chat": "ready"}
    with house.using("shapes") as again:
        assert again.version == version


def test_a_chat_model_that_made_room_is_freed_with_its_weights(house) -> None:
    with house.using("chat") as resident:
        pixels = np.full((*resident.engine.image_size, 3), 128, np.uint8)
        assert resident.batcher.submit(Wish(pixels, Halt())).result(60).result is not None
        network = resident.engine._model
        gone = [weakref.ref(each) for each in (resident.engine, network, *network.parameters())]
    del resident, network
    with house.using("shapes"):
        gc.collect()
        assert [each() for each in gone] == [None] * len(gone)


def test_messages_of_two_models_in_turns_load_each_of_them_once_or_twice(house, meters) -> None:
    took: list[float] = []
    words: list[str] = []

    def message(model: str) -> None:
        began = time.monotonic()
        with house.using(model) as resident:
            pixels = np.full((*resident.engine.image_size, 3), 128, np.uint8)
            futures = [resident.batcher.submit(Wish(pixels, Halt())) for _ in range(EACH)]
            for future in futures:
                caption = future.result(60).result
                assert caption is not None
                words.append(model)
        took.append(time.monotonic() - began)

    threads = [
        threading.Thread(target=message, args=(model,))
        for _ in range(MESSAGES)
        for model in ("shapes", "chat")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    with meters.told() as sums:
        loads, evictions, images = (
            sum(sums.get((name, model), 0) for model in ("shapes", "chat"))
            for name in ("loads", "evictions", "images")
        )
    print(f"loads: {loads}, evictions: {evictions}, the longest wait: {max(took):.1f} s")
    assert words.count("shapes") == words.count("chat") == MESSAGES * EACH
    assert images == len(words)
    assert 2 <= loads <= 4
    assert evictions == loads - 1
