"""One caption of several pictures equals what transformers says to a chat with all of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from captioner.options import Options
from tests import standins
from tests.unit.asking import Listening
from tests.unit.chatting import MODULES, PICTURES, TOKENS, Case, load

SIZES = (1, 2, 3, 5)


@pytest.fixture(scope="module", params=sorted(MODULES))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    kind = request.param
    return Case(kind, standins.MAKERS[kind](tmp_path_factory.mktemp(kind) / "model"))


def of(size: int, **options) -> Options:
    return Options(collective=size, max_new_tokens=TOKENS, **options)


def starts(size: int) -> range:
    return range(0, len(PICTURES) - size + 1, size)


def collections(case: Case, size: int) -> list[np.ndarray]:
    return [np.stack(case.pixels[start : start + size]) for start in starts(size)]


def reference(case: Case, size: int, **arguments) -> list[list[int]]:
    """By transformers alone: its processor and `generate`, one collection at a time."""
    answers = []
    for start in starts(size):
        inputs = case.inputs(*PICTURES[start : start + size], options=of(size))
        with torch.inference_mode():
            made = case.model.generate(
                **inputs, do_sample=False, max_new_tokens=TOKENS, **arguments
            )
        answers.append(made[0, inputs["input_ids"].shape[1] :].tolist())
    return answers


@pytest.mark.parametrize("size", SIZES)
def test_the_network_is_given_bit_for_bit_what_the_models_own_processor_makes(case, size) -> None:
    engine = load(case.kind, case.folder)
    engine._model = network = Listening(case.engine._model)
    engine.caption(collections(case, size)[:1], replace(of(size), max_new_tokens=1))
    for name, tensor in case.inputs(*PICTURES[:size], options=of(size)).items():
        assert torch.equal(network.asked[-1][name], tensor), name


@pytest.mark.parametrize("size", SIZES)
def test_collections_equal_generate_token_for_token(case, size) -> None:
    expected = reference(case, size)
    asked = collections(case, size)
    alone = [case.engine.caption([each], of(size))[0] for each in asked]
    assert [list(answer.tokens) for answer in alone] == expected
    together = case.engine.caption(asked, of(size))
    assert [list(answer.tokens) for answer in together] == expected


@pytest.mark.parametrize("size", [2, 3])
def test_beams_equal_generate_token_for_token(case, size) -> None:
    answers = case.engine.caption(collections(case, size), of(size, num_beams=3))
    assert [list(answer.tokens) for answer in answers] == reference(case, size, num_beams=3)


def test_drawn_captions_are_the_same_alone_and_in_a_batch(case) -> None:
    options = of(2, temperature=0.3, seed=5, num_captions=2)
    asked = collections(case, 2)
    alone = [case.engine.caption([each], options)[0] for each in asked]
    together = case.engine.caption(asked, options)
    assert [answer.tokens for answer in alone] == [answer.tokens for answer in together]
    assert [answer.others[0].tokens for answer in alone] == [
        answer.others[0].tokens for answer in together
    ]


def test_every_picture_and_their_order_matters(case) -> None:
    (first, second), third = case.pixels[:2], case.pixels[2]
    asked = [np.stack(pair) for pair in ((first, second), (second, first), (first, third))]
    scores = [answer.score for answer in case.engine.caption(asked, of(2))]
    assert len({round(score, 5) for score in scores}) == 3
