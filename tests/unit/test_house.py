"""A model that fails to load: whether its pictures are left to other workers."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future

import numpy as np
import pytest

from captioner.catalog import SCENES_FOLDER, ModelEntry
from captioner.errors import ModelNotReady, ModelUnavailable
from captioner.images import Resampling
from captioner.settings import Settings
from tests.vllm_server import MODEL, serving
from worker.engines import house, kinds
from worker.engines.house import EngineHouse
from worker.engines.protocol import Caption, EngineGone
from worker.engines.wishes import Wish
from worker.styling.local import LocalStyler
from worker.styling.protocol import Brief, Call


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
    return EngineHouse(Settings(**{"model": "scenes", "models": "scenes", **settings}))


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


BRIEF = Brief("rules", "a dog", {}, "as JSON", 1)


class Engine:
    """Has nothing to say."""

    image_size, resampling, revision = (8, 8), Resampling.BICUBIC, "r"

    def caption(self, pictures: list, _options: object = None, *, stopped: object = None) -> list:
        return [Caption("a dog", ()) for _ in pictures]


class Makers(Maker):
    """Makes each model but one, and keeps in mind which it was asked for."""

    def __init__(self, but: str = "") -> None:
        super().__init__()
        self.asked: list[str] = []
        self._but = but

    def make(self, entry: ModelEntry) -> object:
        self.asked.append(entry.name)
        return super().make(entry) if entry.name == self._but else Engine()


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Callable[[Makers], EngineHouse]:
    """A house with one place for two models, "scenes" and "shapes"."""
    monkeypatch.setattr(house, "RETRY_S", 0.0)

    def made(makers: Makers) -> EngineHouse:
        for kind in kinds.KINDS:
            monkeypatch.setitem(kinds.KINDS, kind, lambda _settings: makers)
        return opened(
            models="scenes,shapes", model_sources={"shapes": str(SCENES_FOLDER)}, model_capacity=1
        )

    return made


@pytest.mark.parametrize("failure", [ModelNotReady("no memory"), ModelUnavailable("broken")])
def test_a_default_that_does_not_load_takes_the_place_from_nobody(two, failure) -> None:
    makers = Makers(but="scenes")
    makers.failure = failure
    made = two(makers)
    made.load_all()
    with made.using("shapes"):
        pass
    for _ in range(3):
        made.load_all()
    assert makers.asked == ["scenes", "shapes"]
    with pytest.raises(ModelUnavailable), made.using("scenes"):  # whoever asks for it is told
        pass
    made.close()


def test_a_question_that_nobody_waits_for_any_more_takes_no_place(two) -> None:
    makers = Makers()
    made = two(makers)
    styler = LocalStyler(made, "shapes")
    loop = asyncio.new_event_loop()
    with made.using("scenes"):
        asked = loop.create_task(styler.write(Call(BRIEF, print, Future())))
        with pytest.raises(TimeoutError):
            loop.run_until_complete(asyncio.wait_for(asked, 0.3))
    loop.run_until_complete(loop.shutdown_default_executor())  # its thread is through
    loop.close()
    assert makers.asked == ["scenes"]
    made.close()


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
