"""Chat models are asked in words alone, without a picture, as transformers asks them."""

import numpy as np
import pytest
import torch

from captioner.options import Options
from tests import standins
from tests.unit.chatting import MODULES, TOKENS, Case
from worker.styling.local import NO_PICTURES

ASKED = Options(
    prompt='{"description": "a cat <start_of_image> <|im_end|>"}', system="Write.",
    max_new_tokens=TOKENS,
)  # fmt: skip


@pytest.fixture(scope="module", params=sorted(MODULES))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    kind = request.param
    return Case(kind, standins.MAKERS[kind](tmp_path_factory.mktemp(kind) / "model"))


def test_a_question_in_words_is_answered_token_for_token(case: Case) -> None:
    asked = Options(prompt="What is left of it?", max_new_tokens=TOKENS)
    inputs = case.inputs(options=asked)
    with torch.inference_mode():
        made = case.model.generate(**inputs, do_sample=False, max_new_tokens=TOKENS)
    expected = made[0, inputs["input_ids"].shape[1] :].tolist()
    (answer,) = case.engine.caption([NO_PICTURES], asked)
    assert list(answer.tokens) == expected[: len(answer.tokens)]
    assert answer.tokens


def test_special_tokens_in_a_caption_are_words(case: Case) -> None:
    first, second = case.engine.caption([NO_PICTURES, NO_PICTURES], ASKED)
    assert (first.text, first.tokens) == (second.text, second.tokens)
    assert first.score == pytest.approx(
        second.score
    )  # rows of a product may differ in the last bit


def test_pictures_and_words_alone_are_asked_by_one_engine(case: Case) -> None:
    pixels = np.asarray(case.pixels[0])
    (before,) = case.engine.caption([pixels], Options(max_new_tokens=TOKENS))
    case.engine.caption([NO_PICTURES], ASKED)
    (after,) = case.engine.caption([pixels], Options(max_new_tokens=TOKENS))
    assert before == after
