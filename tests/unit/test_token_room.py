"""A caption has the tokens that were asked for, or a clear error where there is no room."""

import numpy as np
import pytest

from captioner.catalog import SCENES_FOLDER
from captioner.errors import InvalidPrompt
from captioner.options import Options
from captioner.settings import Settings
from tests import standins
from worker.engines import blip, blip2
from worker.engines.blip import FastBlipEngine
from worker.engines.device import Placement, place
from worker.engines.generation import span

PLACES = 512
LIBRARIES = ["torch", "openvino", "reference"]


def placement(library: str) -> Placement:
    return place(Settings(device="cpu", engine=library, dtype="float32", _env_file=None))


def opened(library: str, usual: int = 20):
    return blip.load(
        str(SCENES_FOLDER), revision="main", placement=placement(library), max_new_tokens=usual
    )


@pytest.fixture(scope="module", params=LIBRARIES)
def engine(request: pytest.FixtureRequest):
    return opened(request.param)


def grey(engine) -> list[np.ndarray]:
    return [np.full((*engine.image_size, 3), 128, np.uint8)]


def places_taken(engine, prompt: str) -> int:
    slow = engine._slow if isinstance(engine, FastBlipEngine) else engine
    return slow.prompt_ids(prompt).shape[1]


def test_a_prompt_that_leaves_no_room_is_refused_with_what_to_do(engine) -> None:
    for options in (
        Options(prompt="!" * 500, max_new_tokens=64, min_new_tokens=20),
        Options(prompt="!" * 500, max_new_tokens=64, num_beams=2),
        Options(prompt="!" * 600),
    ):
        with pytest.raises(InvalidPrompt, match="Shorten the prompt") as raised:
            engine.caption(grey(engine), options)
        assert not raised.value.retryable
    assert engine.caption(grey(engine))[0].text  # who comes next is not touched


def test_the_longest_that_has_room_is_written_and_one_more_refused(engine) -> None:
    prompt, longest = "!" * 470, PLACES - 470 - 1 + 1
    assert places_taken(engine, prompt) == 471
    asked = {"prompt": prompt, "min_new_tokens": longest}
    (answer,) = engine.caption(grey(engine), Options(max_new_tokens=longest, **asked))
    assert len(answer.tokens) == 471 + longest
    with pytest.raises(InvalidPrompt):
        engine.caption(grey(engine), Options(max_new_tokens=longest + 1, **asked))


def test_what_was_not_asked_for_takes_the_room_that_there_is() -> None:
    engine = opened("torch", usual=600)  # CAPTIONER_MAX_NEW_TOKENS
    assert engine.caption(grey(engine))[0].text
    (answer,) = engine.caption(grey(engine), Options(prompt="!" * 500))
    assert len(answer.tokens) <= PLACES + 1


def test_as_many_tokens_come_as_were_asked_for_at_least(engine) -> None:
    (answer,) = engine.caption(grey(engine), Options(min_new_tokens=50))
    assert len(answer.tokens) >= 50
    (answer,) = engine.caption(grey(engine), Options(min_new_tokens=50, num_beams=2))
    assert len(answer.tokens) >= 50


def test_every_kind_of_engine_keeps_to_its_room(tmp_path) -> None:
    engine = blip2.load(
        str(standins.blip2(tmp_path / "model")),
        revision="main",
        placement=placement("torch"),
        max_new_tokens=20,
    )
    with pytest.raises(InvalidPrompt):
        engine.caption(grey(engine), Options(prompt="a " * 500))
    assert engine.caption(grey(engine))[0] is not None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (Options(), (0, 20)),
        (Options(max_new_tokens=7), (0, 7)),
        (Options(min_new_tokens=7), (7, 20)),
        (Options(min_new_tokens=50), (50, 50)),
        (Options(min_new_tokens=9, max_new_tokens=8), (8, 8)),
    ],
)
def test_the_fewest_and_the_most_tokens(options, expected) -> None:
    assert span(options, given=1, places=None, usual=20) == expected
    assert span(options, given=1, places=50, usual=20) == expected


def test_the_last_token_needs_no_place() -> None:
    assert span(Options(), given=45, places=50, usual=20) == (0, 6)
    assert span(Options(max_new_tokens=6), given=45, places=50, usual=20) == (0, 6)
    assert span(Options(), given=50, places=50, usual=20) == (0, 1)
    with pytest.raises(InvalidPrompt):
        span(Options(), given=51, places=50, usual=20)
