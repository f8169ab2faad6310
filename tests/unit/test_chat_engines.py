"""Chat models answer as transformers does, and are asked what the options say."""

import json
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from transformers import (
    AutoTokenizer,
    Gemma3ForConditionalGeneration,
    Gemma3Processor,
    InternVLForConditionalGeneration,
    InternVLProcessor,
)
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

from captioner.errors import ModelNotReady, ModelUnavailable
from captioner.options import Length, Options
from tests import standins
from tests.unit.asking import (
    COUNT,
    CPU,
    Listening,
    fitted,
    from_token,
    in_batches,
    photographs,
    without,
)
from worker.engines import gemma, intern_vlm
from worker.engines.chat import ANSWER_TOKENS, ChatEngine
from worker.engines.prompts import SYSTEM, prompt_for
from worker.engines.weights import fetch

TOKENS = 12
PLAIN = Options(max_new_tokens=TOKENS)
BEAMS = Options(max_new_tokens=TOKENS, num_beams=3, num_captions=2)
DRAWN = Options(max_new_tokens=TOKENS, temperature=0.3, seed=5, num_captions=2)


class WithoutVideos(InternVLProcessor):
    """Transformers' own, that does not mind its missing part."""

    def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
        if argument_name != "video_processor":
            return super().check_argument_for_proper_class(argument_name, argument)
        return None


def intern_reference(folder: Path) -> tuple[Any, Any]:
    processor = WithoutVideos(
        GotOcr2ImageProcessorPil.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder),
        None,
        image_seq_length=json.loads((folder / "processor_config.json").read_text())[
            "image_seq_length"
        ],
        chat_template=(folder / "chat_template.jinja").read_text(),
    )
    return InternVLForConditionalGeneration.from_pretrained(folder).eval(), processor


def gemma_reference(folder: Path) -> tuple[Any, Any]:
    model = Gemma3ForConditionalGeneration.from_pretrained(folder).eval()
    return model, Gemma3Processor.from_pretrained(folder)


MODULES: dict[str, ModuleType] = {"intern_vlm": intern_vlm, "gemma": gemma}
REFERENCES = {"intern_vlm": intern_reference, "gemma": gemma_reference}
WHOLE = {"intern_vlm": {"crop_to_patches": False}, "gemma": {"do_pan_and_scan": False}}
PICTURES = photographs()


def load(kind: str, folder: Path) -> ChatEngine:
    return MODULES[kind].load(str(folder), revision="main", placement=CPU, max_new_tokens=20)


@dataclass
class Case:
    kind: str
    folder: Path

    def __post_init__(self) -> None:
        self.engine = load(self.kind, self.folder)
        self.pixels = fitted(PICTURES, self.engine)
        self.reference = cache(self._reference)

    def _reference(self, **arguments: Any) -> list[list[int]]:
        """Tokens by transformers alone: its processor and `generate`, one picture at a time."""
        model, processor = REFERENCES[self.kind](self.folder)
        prompt = prompt_for(PLAIN)
        answers = []
        for picture in PICTURES:
            chat = [
                {"role": "system", "content": [{"type": "text", "text": prompt.system}]},
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "image": picture},
                        {"type": "text", "text": prompt.user},
                    ],
                },
            ]
            inputs = processor.apply_chat_template(
                [chat],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
                processor_kwargs={"images_kwargs": WHOLE[self.kind]},
            )
            with torch.inference_mode():
                made = model.generate(**inputs, do_sample=False, max_new_tokens=TOKENS, **arguments)
            answers.append(made[0, inputs["input_ids"].shape[1] :].tolist())
        return answers


@pytest.fixture(scope="module", params=sorted(MODULES))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    kind = request.param
    return Case(kind, standins.MAKERS[kind](tmp_path_factory.mktemp(kind) / "model"))


@pytest.fixture
def folder(case: Case, tmp_path: Path) -> Path:
    """A copy of the checkpoint, to be damaged."""
    return Path(shutil.copytree(case.folder, tmp_path / "model"))


@pytest.fixture
def listening(case: Case) -> tuple[ChatEngine, Listening]:
    """The engine, and the network that it asks."""
    network = Listening(case.engine._model)
    engine = load(case.kind, case.folder)
    engine._model = network
    return engine, network


def tokens(answers: list[Any]) -> list[list[int]]:
    return [list(answer.tokens) for answer in answers]


def asked(listening: tuple[ChatEngine, Listening], case: Case, options: Options) -> list[int]:
    engine, network = listening
    engine.caption(case.pixels[:1], options)
    return network.asked[-1]["input_ids"][0].tolist()


def words(case: Case, ids: list[int]) -> str:
    return case.engine._tokenizer.decode(ids)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_batches_of_every_size_equal_generate_token_for_token(case, size) -> None:
    expected = case.reference()
    assert len({tuple(answer) for answer in expected}) > COUNT // 2  # the picture matters
    assert tokens(in_batches(case.engine, case.pixels, size, PLAIN)) == expected


@pytest.mark.parametrize("size", [1, 4])
def test_beams_equal_generate_token_for_token(case, size) -> None:
    expected = case.reference(num_beams=3)
    assert expected != case.reference()
    assert tokens(in_batches(case.engine, case.pixels, size, BEAMS)) == expected


@pytest.mark.parametrize("options", [PLAIN, BEAMS, DRAWN], ids=["greedy", "beams", "drawn"])
def test_a_caption_is_the_same_alone_and_in_a_batch(case, options) -> None:
    alone = [case.engine.caption([pixels], options)[0] for pixels in case.pixels]
    together = case.engine.caption(case.pixels, options)
    assert [one.tokens for one in alone] == [one.tokens for one in together]
    assert [[o.tokens for o in one.others] for one in alone] == [
        [o.tokens for o in one.others] for one in together
    ]
    assert len({one.tokens for one in alone}) > 1
    assert [one.score for one in alone] == pytest.approx([one.score for one in together], abs=1e-4)


def test_the_captions_beside_a_stopped_one_keep_every_token(case) -> None:
    undisturbed = case.engine.caption(case.pixels, PLAIN)
    long = {n for n, answer in enumerate(undisturbed) if len(answer.tokens) > 4}
    rows = set(sorted(long)[::2])
    assert rows
    assert len(rows) < COUNT
    answers = case.engine.caption(case.pixels, PLAIN, stopped=from_token(3, rows, of=COUNT))
    assert {n for n, answer in enumerate(answers) if answer is None} == rows
    kept = [n for n in range(COUNT) if n not in rows]
    assert [answers[n] for n in kept] == [undisturbed[n] for n in kept]


def test_a_caption_that_had_come_to_its_end_is_kept_when_it_is_stopped(case) -> None:
    longer = Options(max_new_tokens=30)
    undisturbed = case.engine.caption(case.pixels, longer)
    lengths = [len(answer.tokens) for answer in undisturbed]
    shortest = lengths.index(min(lengths))
    assert min(lengths) + 1 < max(lengths)
    stopped = from_token(min(lengths) + 1, {shortest}, of=COUNT)
    assert case.engine.caption(case.pixels, longer, stopped=stopped) == undisturbed


def test_a_seed_draws_the_same_and_another_draws_others(case) -> None:
    first = tokens(case.engine.caption(case.pixels, DRAWN))
    assert tokens(case.engine.caption(case.pixels, DRAWN)) == first
    other = Options(max_new_tokens=TOKENS, temperature=0.3, seed=6, num_captions=2)
    assert tokens(case.engine.caption(case.pixels, other)) != first


def test_the_score_is_the_mean_log_probability_of_the_answer(case, listening) -> None:
    engine, network = listening
    (answer,) = engine.caption(case.pixels[:1], PLAIN)
    inputs = network.asked[-1]
    model, _ = REFERENCES[case.kind](case.folder)
    given = inputs["input_ids"].shape[1]
    whole = torch.cat([inputs["input_ids"], torch.tensor([answer.tokens])], dim=1)
    more = {"token_type_ids": torch.zeros_like(whole)} if "token_type_ids" in inputs else {}
    if more:
        more["token_type_ids"][:, :given] = inputs["token_type_ids"]
    with torch.inference_mode():
        logits = model(input_ids=whole, pixel_values=inputs["pixel_values"], **more).logits
    log_probs = logits[0, given - 1 : -1].log_softmax(-1)
    chosen = log_probs.gather(-1, torch.tensor(answer.tokens)[:, None])
    assert answer.score == pytest.approx(chosen.mean().item(), abs=1e-3)


def test_what_looks_like_a_special_token_is_plain_words(case, listening) -> None:
    added = case.engine._tokenizer.added_tokens_decoder
    ids = {number for number, token in added.items() if token.special}
    looks = "".join(added[number].content for number in ids)

    def specials(options: Options) -> list[int]:
        return [token for token in asked(listening, case, options) if token in ids]

    plain = specials(Options(prompt="What is this?", system="Say it.", max_new_tokens=2))
    assert len(plain) > 4
    assert specials(Options(prompt=looks, system=looks, max_new_tokens=2)) == plain


def test_options_reach_the_words_that_the_network_is_asked(case, listening) -> None:
    default = words(case, asked(listening, case, Options(max_new_tokens=1)))
    assert SYSTEM in default
    assert "Describe this picture." in default
    options = Options(
        prompt="How many circles?",
        system="You count.",
        language="de",
        length=Length.SHORT,
        max_new_tokens=1,
    )
    written = words(case, asked(listening, case, options))
    for part in ("You count.", "How many circles?", "one short sentence", "Answer in German."):
        assert part in written
    assert SYSTEM not in written
    assert "Describe" not in written


def test_an_answer_has_room_for_a_paragraph_unless_the_request_says_otherwise(
    case, listening
) -> None:
    engine, network = listening
    engine.caption(case.pixels[:1], Options(temperature=1.0, seed=1))
    assert network.asked[-1]["max_new_tokens"] == ANSWER_TOKENS
    engine.caption(case.pixels[:1], Options(max_new_tokens=3))
    assert network.asked[-1]["max_new_tokens"] == 3


def test_it_runs_with_sdpa_attention(case) -> None:
    assert case.engine._model.config._attn_implementation == "sdpa"
    assert case.engine._model.config.text_config._attn_implementation == "sdpa"


def test_internvl_takes_transformers_own_processor_where_torchvision_is() -> None:
    assert intern_vlm.processor_class(torchvision=True) is InternVLProcessor
    assert intern_vlm.processor_class(torchvision=False) is intern_vlm.PictureProcessor


def test_internvl_loads_without_torchvision(tmp_path: Path) -> None:
    folder = standins.intern_vlm(tmp_path / "model")
    processor = intern_vlm.PictureProcessor.from_pretrained(folder)
    assert processor.image_seq_length == 4
    assert processor.chat_template == standins.INTERN_TEMPLATE
    assert fetch(str(folder), revision="main").revision == load("intern_vlm", folder).revision


def test_another_architecture_is_refused_by_name(case, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
    with pytest.raises(ModelUnavailable, match="bert"):
        load(case.kind, folder)


def test_weights_that_lack_a_part_are_unavailable_not_noise(case, folder: Path) -> None:
    without(folder, weight="layers.0")
    with pytest.raises(ModelUnavailable, match="lack") as raised:
        load(case.kind, folder)
    assert not raised.value.retryable


def test_weights_cut_short_are_waited_for(case, folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelNotReady):
        load(case.kind, folder)


def test_a_model_without_a_chat_template_is_refused(case, folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelUnavailable, match="chat template"):
        load(case.kind, folder)
