"""BLIP-2 answers as transformers does, and goes on with a prompt."""

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Blip2ForConditionalGeneration, Blip2Processor

from captioner.errors import ModelNotReady, ModelUnavailable
from captioner.options import Options
from tests import standins
from tests.unit.asking import COUNT, CPU, fitted, from_token, in_batches, photographs, without
from worker.engines import blip2
from worker.engines.preprocessing import pixel_values

TOKENS = 12
PROMPT = "a photo of"
PICTURES = photographs()
PLAIN = Options(max_new_tokens=TOKENS)
PROMPTED = Options(max_new_tokens=TOKENS, prompt=PROMPT)
UNREPEATED = Options(max_new_tokens=TOKENS, no_repeat_ngram=2, prompt=PROMPT)
BEAMS = Options(max_new_tokens=TOKENS, num_beams=3, num_captions=2)
DRAWN = Options(max_new_tokens=TOKENS, temperature=0.3, seed=5, num_captions=2)


def load(folder: Path) -> blip2.Blip2Engine:
    return blip2.load(str(folder), revision="main", placement=CPU, max_new_tokens=TOKENS)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return standins.blip2(tmp_path_factory.mktemp("blip2") / "model")


@pytest.fixture
def folder(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint, to be damaged."""
    return Path(shutil.copytree(checkpoint, tmp_path / "model"))


@pytest.fixture(scope="module")
def engine(checkpoint: Path) -> blip2.Blip2Engine:
    return load(checkpoint)


@pytest.fixture(scope="module")
def pixels(engine) -> list[Any]:
    return fitted(PICTURES, engine)


@pytest.fixture(scope="module")
def reference(checkpoint: Path) -> Any:
    """Tokens by transformers alone: its processor and `generate`, one picture at a time.

    Those that stand for the picture are left out.
    """
    model = Blip2ForConditionalGeneration.from_pretrained(checkpoint).eval()
    processor = Blip2Processor.from_pretrained(checkpoint)

    @cache
    def answers(prompt: str | None = None, **arguments: Any) -> list[list[int]]:
        made = []
        for picture in PICTURES:
            inputs = processor(images=picture, text=prompt, return_tensors="pt")
            with torch.inference_mode():
                row = model.generate(**inputs, max_new_tokens=TOKENS, **arguments)[0].tolist()
            assert (
                row[: processor.num_query_tokens]
                == [model.config.image_token_id] * processor.num_query_tokens
            )
            made.append(row[processor.num_query_tokens :])
        return made

    return answers


def tokens(answers: list[Any]) -> list[list[int]]:
    return [list(answer.tokens) for answer in answers]


def test_the_network_is_given_bit_for_bit_the_pixels_of_the_models_own_processor(
    engine, pixels, checkpoint
) -> None:
    processor = Blip2Processor.from_pretrained(checkpoint)
    expected = processor(images=PICTURES, return_tensors="pt").pixel_values
    given = pixel_values(engine._processor, pixels, engine._placement)
    assert torch.equal(given, expected)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_batches_of_every_size_equal_generate_token_for_token(
    engine, pixels, reference, size
) -> None:
    assert len({tuple(answer) for answer in reference()}) > COUNT // 2  # the picture matters
    assert tokens(in_batches(engine, pixels, size, PLAIN)) == reference()


@pytest.mark.parametrize("size", [1, 4])
def test_a_prompt_is_given_to_generate_as_the_processor_would(
    engine, pixels, reference, size
) -> None:
    assert tokens(in_batches(engine, pixels, size, PROMPTED)) == reference(PROMPT)


def test_a_prompt_is_part_of_the_caption(engine, pixels) -> None:
    assert all(answer.text.startswith(PROMPT) for answer in engine.caption(pixels, PROMPTED))


@pytest.mark.parametrize("size", [1, 4])
def test_beams_equal_generate_token_for_token(engine, pixels, reference, size) -> None:
    assert reference(num_beams=3) != reference()
    assert tokens(in_batches(engine, pixels, size, BEAMS)) == reference(num_beams=3)


@pytest.mark.parametrize(
    "options", [PLAIN, PROMPTED, BEAMS, DRAWN], ids=["greedy", "prompted", "beams", "drawn"]
)
def test_a_caption_is_the_same_alone_and_in_a_batch(engine, pixels, options) -> None:
    alone = [engine.caption([one], options)[0] for one in pixels]
    together = engine.caption(pixels, options)
    assert [one.tokens for one in alone] == [one.tokens for one in together]
    assert [[o.tokens for o in one.others] for one in alone] == [
        [o.tokens for o in one.others] for one in together
    ]
    assert len({one.tokens for one in alone}) > 1


@pytest.mark.parametrize("options", [PLAIN, PROMPTED], ids=["greedy", "prompted"])
def test_the_captions_beside_a_stopped_one_keep_every_token(engine, pixels, options) -> None:
    undisturbed = engine.caption(pixels, options)
    given = 1 + (len(PROMPT) if options.prompt else 0)
    rows = set(sorted(n for n, one in enumerate(undisturbed) if len(one.tokens) > given + 3)[::2])
    assert 0 < len(rows) < COUNT
    answers = engine.caption(pixels, options, stopped=from_token(2, rows, of=COUNT))
    assert {n for n, answer in enumerate(answers) if answer is None} == rows
    kept = [n for n in range(COUNT) if n not in rows]
    assert [answers[n] for n in kept] == [undisturbed[n] for n in kept]


def test_a_seed_draws_the_same_and_another_draws_others(engine, pixels) -> None:
    first = tokens(engine.caption(pixels, DRAWN))
    assert tokens(engine.caption(pixels, DRAWN)) == first
    other = Options(max_new_tokens=TOKENS, temperature=0.3, seed=6, num_captions=2)
    assert tokens(engine.caption(pixels, other)) != first


def test_what_looks_like_a_special_token_in_a_prompt_is_plain_words(engine, pixels) -> None:
    looks = "a <image> of </s> <pad>"
    (answer,) = engine.caption(pixels[:1], Options(max_new_tokens=1, prompt=looks))
    assert answer.text.startswith(looks)


def test_another_architecture_is_refused_by_name(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
    with pytest.raises(ModelUnavailable, match="bert"):
        load(folder)


def test_a_checkpoint_from_before_image_tokens_is_refused_and_says_so(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config["image_token_index"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelUnavailable, match="image_token_index"):
        load(folder)


def test_weights_that_lack_a_part_are_unavailable_not_noise(folder: Path) -> None:
    without(folder, weight="qformer")
    with pytest.raises(ModelUnavailable, match="lack"):
        load(folder)


def test_weights_cut_short_are_waited_for(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelNotReady):
        load(folder)


def test_what_may_not_come_twice_is_as_generate_has_it(engine, pixels, reference) -> None:
    expected = reference(PROMPT, no_repeat_ngram_size=2)
    assert tokens(in_batches(engine, pixels, 4, UNREPEATED)) == expected
    assert expected != reference(PROMPT)
