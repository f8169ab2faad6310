"""Chat models answer as transformers does, and are asked what the options say."""

import threading
from dataclasses import replace
from typing import Any

import pytest
import torch

from captioner.options import Length, Options
from tests import standins
from tests.unit.asking import COUNT, Listening, from_token, in_batches
from tests.unit.chatting import MODULES, PICTURES, PLAIN, TOKENS, Case, load
from worker.batching import Batcher
from worker.engines.chat import ChatEngine
from worker.engines.prompts import ANSWER_TOKENS, SYSTEM
from worker.engines.wishes import Wish, captions

BEAMS = Options(max_new_tokens=TOKENS, num_beams=3, num_captions=2)
DRAWN = Options(max_new_tokens=TOKENS, temperature=0.3, seed=5, num_captions=2)


@pytest.fixture(scope="module", params=sorted(MODULES))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    kind = request.param
    return Case(kind, standins.MAKERS[kind](tmp_path_factory.mktemp(kind) / "model"))


@pytest.fixture
def listening(case: Case) -> tuple[ChatEngine, Listening]:
    """The engine, and the network that it asks."""
    network = Listening(case.engine._model)
    engine = load(case.kind, case.folder)
    engine._model = network
    return engine, network


class Wanted:
    """No reason to stop."""

    def done(self) -> bool:
        return False


def tokens(answers: list[Any]) -> list[list[int]]:
    return [list(answer.tokens) for answer in answers]


def asked(listening: tuple[ChatEngine, Listening], case: Case, options: Options) -> list[int]:
    engine, network = listening
    engine.caption(case.pixels[:1], options)
    return network.asked[-1]["input_ids"][0].tolist()


def words(case: Case, ids: list[int]) -> str:
    return case.engine._tokenizer.decode(ids)


@pytest.mark.parametrize(
    "options",
    [
        PLAIN,
        Options(prompt="What is\n\n\nleft of 'it'?  And why?", system="Count.\n\n- Do!"),
        Options(language="日本語", length=Length.ALT_TEXT),
    ],
    ids=["plain", "own words", "wishes"],
)
def test_the_network_is_given_bit_for_bit_what_the_models_own_processor_makes(
    case, listening, options
) -> None:
    engine, network = listening
    for picture, pixels in zip(PICTURES, case.pixels, strict=True):
        engine.caption([pixels], replace(options, max_new_tokens=1))
        for name, tensor in case.inputs(picture, options=options).items():
            assert torch.equal(network.asked[-1][name], tensor), name


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


@pytest.mark.parametrize("beams", [1, 3])
def test_what_may_not_come_twice_is_of_the_answer_alone(case, beams) -> None:
    freely = Options(max_new_tokens=40, min_new_tokens=40, num_beams=beams)
    answers = case.engine.caption(case.pixels, replace(freely, no_repeat_ngram=2))
    for answer in answers:
        pairs = list(zip(answer.tokens, answer.tokens[1:], strict=False))
        assert len(set(pairs)) == len(pairs)
    assert answers != case.engine.caption(case.pixels, freely)
    # The question has these tokens, too, and they may come.
    asked = set(case.inputs(PICTURES[0], options=freely)["input_ids"][0].tolist())
    assert asked & {token for answer in answers for token in answer.tokens}


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
    given = inputs["input_ids"].shape[1]
    whole = torch.cat([inputs["input_ids"], torch.tensor([answer.tokens])], dim=1)
    more = {"token_type_ids": torch.zeros_like(whole)} if "token_type_ids" in inputs else {}
    if more:
        more["token_type_ids"][:, :given] = inputs["token_type_ids"]
    with torch.inference_mode():
        logits = case.model(input_ids=whole, pixel_values=inputs["pixel_values"], **more).logits
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
    config = case.engine._model.config
    for part in (config, config.text_config, config.vision_config):
        assert part._attn_implementation == "sdpa"


def test_prompts_of_different_lengths_never_meet_so_that_nothing_is_padded(case, listening) -> None:
    engine, network = listening
    running, free = threading.Event(), threading.Event()

    def run(options: Options, wishes: list[Wish]) -> list[Any]:
        running.set()
        assert free.wait(30)
        return captions(engine, wishes, options)

    short, long = Options(prompt="What?", max_new_tokens=2), Options(max_new_tokens=2)
    batcher: Batcher[Wish, Any] = Batcher(run, max_batch=8)
    first = batcher.submit(Wish(case.pixels[0], Wanted()), group=short)
    assert running.wait(30)
    later = [
        batcher.submit(Wish(pixels, Wanted()), group=options)
        for pixels in case.pixels[:3]
        for options in (short, long)
    ]
    free.set()
    sizes = [future.result(60).batch_size for future in (first, *later)]
    batcher.close()
    assert sizes == [1] + [3] * 6
    lengths = [inputs["input_ids"].shape[1] for inputs in network.asked]
    assert lengths[0] == lengths[1] < lengths[2]
    for inputs in network.asked:
        assert inputs["attention_mask"].all()
        assert (inputs["input_ids"] == inputs["input_ids"][0]).all()
