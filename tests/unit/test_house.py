"""A model that fails to load: whether its pictures are left to other workers."""

import numpy as np
import pytest

from captioner.errors import ModelNotReady, ModelUnavailable
from captioner.settings import Settings
from tests.vllm_server import MODEL, serving
from worker.engines import house, kinds
from worker.engines.house import EngineHouse
from worker.engines.protocol import EngineGone
from worker.engines.wishes import Wish


class Maker:
    """Makes nothing, and says why."""

    device = "none"

    def __init__(self) -> None:
        self.failure: Exception = ModelNotReady("no memory")

    def make(self, entry: object) -> object:
        raise self.failure


@pytest.fixture
def maker(monkeypatch: pytest.MonkeyPatch) -> Maker:
    made = Maker()
    monkeypatch.setitem(kinds.KINDS, "blip", lambda _settings: made)
    monkeypatch.setattr(house, "RETRY_S", 0.0)
    return made


def opened(**settings: object) -> EngineHouse:
    return EngineHouse(Settings(model="scenes", models="scenes", **settings))


def test_a_failure_that_may_pass_leaves_the_pictures_to_others(maker: Maker) -> None:
    made = opened()
    assert not made.waits_for("scenes")  # nobody knows yet
    made.load_all()
    assert made.waits_for("scenes")
    assert not made.waits_for("another")


def test_a_failure_that_stays_is_told_to_those_who_asked(maker: Maker) -> None:
    maker.failure = ModelUnavailable("of a wrong kind")
    made = opened()
    made.load_all()
    assert not made.waits_for("scenes")


def test_after_an_images_patience_it_is_told_too(maker: Maker) -> None:
    made = opened(retry_s=0)
    made.load_all()
    assert not made.waits_for("scenes")


class Never:
    def done(self) -> bool:
        return False


def test_an_engine_that_is_gone_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as server:
        sources = {"gemma": server.source}
        made = EngineHouse(Settings(model="gemma", models=("gemma",), model_sources=sources))
        with made.using("gemma") as first:
            pass
    wish = Wish(np.full((8, 8, 3), 128, np.uint8), Never())
    done = first.batcher.submit(wish).result(30)
    assert isinstance(done.result, EngineGone)
    assert made.waits_for("gemma")
    assert made.states()["gemma"]["state"] == "failed"
    with pytest.raises(ModelNotReady), made.using("gemma"):  # it is not asked again and again
        pass
    monkeypatch.setattr(house, "RETRY_S", 0.0)
    with serving(server.port) as server:
        server.cards = [{"id": MODEL, "root": "/srv/models/newer"}]
        with made.using("gemma") as second:
            pass
        assert second.version != first.version
        assert second.batcher.submit(wish).result(30).result.text == "A grey picture, 8 by 8."
        assert not made.waits_for("gemma")
        made.close()
