"""A chat model behind a vLLM server: asked as ours are, each picture by itself."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from captioner import catalog
from captioner.errors import (
    CaptionerError,
    CaptionFailed,
    InvalidOption,
    ModelNotReady,
    ModelUnavailable,
)
from captioner.options import Length, Options, check
from captioner.settings import Settings
from tests.processes import free_port, until
from tests.vllm_server import CUT, KEY, MODEL, SLOW, Trouble, VllmServer, painted, serving
from worker.engines.kinds import KINDS
from worker.engines.prompts import ANSWER_TOKENS, prompt_for
from worker.engines.protocol import Caption, EngineGone
from worker.engines.vllm import VllmEngine
from worker.engines.vllm_chat import caption_in
from worker.engines.wishes import tokens


@pytest.fixture
def server() -> Iterator[VllmServer]:
    with serving() as running:
        yield running


def settings(source: str, **more: object) -> Settings:
    return Settings(
        _env_file=None, model="gemma", models=("gemma",), model_sources={"gemma": source}, **more
    )


def opened(source: str, **more: object) -> VllmEngine:
    made = settings(source, **more)
    entry = catalog.find("gemma", made)
    engine = KINDS[entry.kind](made).make(entry)
    assert isinstance(engine, VllmEngine)
    return engine


@pytest.fixture
def engine(server: VllmServer) -> VllmEngine:
    made = opened(server.source)
    server.chats.clear()
    server.pictures.clear()
    return made


def pixels(colour: str, width: int = 64, height: int = 48) -> np.ndarray:
    return np.array(painted(colour, width, height))


def test_each_picture_has_its_own_caption_in_order(engine: VllmEngine) -> None:
    answers = engine.caption([pixels("red"), pixels("green", 30, 90), pixels("blue")])
    assert [answer.text for answer in answers] == [
        "A red picture, 64 by 48.",
        "A green picture, 30 by 90.",
        "A blue picture, 64 by 48.",
    ]


def test_the_score_is_the_mean_log_probability_of_the_tokens(engine: VllmEngine) -> None:
    (answer,) = engine.caption([pixels("red")])
    assert answer.score == pytest.approx(-0.1)
    assert answer.tokens == ()


def test_the_tokens_that_the_server_generated_are_counted(engine: VllmEngine) -> None:
    both = engine.caption([pixels("red"), pixels("blue")])
    assert tokens(both) == 2 * 9
    three = engine.caption([pixels("red")], Options(temperature=1, seed=4, num_captions=3))
    assert tokens([*three, None, CaptionFailed("no")]) == 3 * 9


def test_a_server_that_does_not_say_how_many_tokens_is_fine() -> None:
    said = {"choices": [{"message": {"content": "a dog"}}]}
    for usage in ({}, {"usage": None}, {"usage": {"prompt_tokens": 3}}):
        caption = caption_in(json.dumps(said | usage).encode(), captions=1)
        assert (caption.text, tokens([caption])) == ("a dog", 0)


def test_the_server_sees_the_very_pixels(server: VllmServer, engine: VllmEngine) -> None:
    noise = np.random.default_rng(5).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    engine.caption([noise])
    assert np.array_equal(np.array(server.pictures[0]), noise)


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(prompt="What is red?", language="de", length=Length.SHORT),
        Options(system="Be brief.", length=Length.ALT_TEXT),
    ],
    ids=str,
)
def test_it_is_asked_what_our_own_chat_models_are_asked(
    server: VllmServer, engine: VllmEngine, options: Options
) -> None:
    engine.caption([pixels("red")], options)
    prompt = prompt_for(options)
    assert server.chats[0]["messages"] == [
        {"role": "system", "content": prompt.system},
        {
            "role": "user",
            "content": [{"type": "image_url"}, {"type": "text", "text": prompt.user}],
        },
    ]


def test_options_become_parameters(server: VllmServer, engine: VllmEngine) -> None:
    engine.caption([pixels("red")])
    plain = server.chats[-1]
    assert (plain["max_completion_tokens"], plain["temperature"]) == (ANSWER_TOKENS, 0)
    drawn = Options(max_new_tokens=9, min_new_tokens=12, temperature=0.7, seed=11, num_captions=3)
    engine.caption([pixels("red")], Options(min_new_tokens=500))
    assert server.chats[-1]["max_completion_tokens"] == server.chats[-1]["min_tokens"] == 500
    engine.caption([pixels("red")], drawn)
    asked = server.chats[-1]
    assert (asked["max_completion_tokens"], asked["min_tokens"], asked["n"]) == (9, 9, 3)
    assert (asked["temperature"], asked["seed"]) == (0.7, 11)
    assert (asked["top_p"], asked["top_k"]) == (1.0, -1)


def test_several_captions_come_the_likeliest_first(engine: VllmEngine) -> None:
    (answer,) = engine.caption([pixels("red")], Options(temperature=1, seed=4, num_captions=3))
    assert answer.text.endswith("Drawn with 4+0 at 1.")
    assert [other.score for other in answer.others] == pytest.approx([-0.2, -0.3])


@pytest.mark.parametrize("options", [Options(num_beams=2), Options(max_new_tokens=513)], ids=str)
def test_what_the_server_cannot_do_is_refused_at_the_door(
    server: VllmServer, options: Options
) -> None:
    entry = catalog.find("gemma", settings(server.source))
    with pytest.raises(InvalidOption):
        check(options, entry.limits, model="gemma")


def test_a_batch_is_asked_at_once(server: VllmServer, engine: VllmEngine) -> None:
    server.troubles["blue"] = Trouble(status=200, after_s=0.5)
    began = time.monotonic()
    assert len(engine.caption([pixels("blue")] * 12)) == 12
    assert server.most_at_once == 12
    assert time.monotonic() - began < 12 * 0.5


@pytest.mark.parametrize(
    ("trouble", "kind", "says"),
    [
        (Trouble(500), ModelNotReady, "500"),
        (Trouble(503), ModelNotReady, "503"),
        (Trouble(429), ModelNotReady, "429"),
        (CUT, ModelNotReady, "does not answer"),
        (Trouble(400, "too many tokens"), CaptionFailed, "too many tokens"),
        (Trouble(401), ModelUnavailable, "CAPTIONER_VLLM_KEY"),
        (Trouble(404, "no such model"), ModelUnavailable, "no such model"),
        (Trouble(307, headers={"Location": "http://127.0.0.1:1/"}), ModelUnavailable, "redirect"),
        (Trouble(200, body=b"<html>"), CaptionFailed, "something else"),
        (Trouble(200, body=b'{"choices": []}'), CaptionFailed, "something else"),
    ],
    ids=str,
)
def test_one_picture_fails_alone_and_says_why(
    server: VllmServer,
    engine: VllmEngine,
    trouble: Trouble,
    kind: type[CaptionerError],
    says: str,
) -> None:
    server.troubles["red"] = trouble
    first, failed, last = engine.caption([pixels("green"), pixels("red"), pixels("blue")])
    assert isinstance(first, Caption)
    assert isinstance(last, Caption)
    assert type(failed) is kind
    assert says in failed.detail
    assert len(server.chats) == 3  # nothing was asked twice, and no redirect was followed


def test_a_server_that_is_slow_is_waited_for_so_long(server: VllmServer) -> None:
    engine = opened(server.source, vllm_timeout_s=0.5)
    server.troubles["red"] = SLOW
    answers = engine.caption([pixels("red"), pixels("blue")])
    assert isinstance(answers[0], ModelNotReady)
    assert isinstance(answers[1], Caption)
    until(lambda: server.hung_up == 1, what="end of the call", timeout_s=5)


def test_a_caption_that_is_not_wanted_any_more_is_cut_off(
    server: VllmServer, engine: VllmEngine
) -> None:
    server.troubles["red"] = SLOW
    halted = threading.Event()
    threading.Timer(0.5, halted.set).start()
    began = time.monotonic()
    answers = engine.caption(
        [pixels("red"), pixels("blue")], stopped=lambda: [halted.is_set(), False]
    )
    assert time.monotonic() - began < 10
    assert answers[0] is None
    assert isinstance(answers[1], Caption)
    until(lambda: server.hung_up == 1, what="closed connection", timeout_s=5)


def test_a_server_that_has_gone_is_waited_for() -> None:
    with serving() as server:
        engine = opened(server.source)
    answers = engine.caption([pixels("red"), pixels("blue")])
    assert [type(answer) for answer in answers] == [EngineGone, EngineGone]
    assert all(answer.retryable for answer in answers)
    with serving(server.port):
        assert isinstance(engine.caption([pixels("red")])[0], Caption)


def test_a_server_that_serves_another_model_now_is_noticed(
    server: VllmServer, engine: VllmEngine
) -> None:
    server.cards = [{"id": MODEL, "root": "/srv/models/newer"}]
    (answer,) = engine.caption([pixels("red")])
    assert isinstance(answer, EngineGone)
    assert "/srv/models/newer" in answer.detail


def test_the_revision_is_what_the_server_says(server: VllmServer) -> None:
    assert opened(server.source).revision == f"vllm:{MODEL}"
    server.cards.append({"id": "mine", "root": "/srv/models/mine"})
    assert opened(f"{server.source}#mine").revision == "vllm:mine of /srv/models/mine"


def test_a_server_that_is_away_at_the_start_is_waited_for() -> None:
    with pytest.raises(ModelNotReady):
        opened(f"vllm:http://127.0.0.1:{free_port()}")


@pytest.mark.parametrize(
    ("source", "says"),
    [("{}#nobody", "nobody"), ("{}/wrong/v1", "404")],
)
def test_a_source_that_leads_nowhere_is_no_model(
    server: VllmServer, source: str, says: str
) -> None:
    with pytest.raises(ModelUnavailable, match=says) as raised:
        opened(source.format(server.source))
    assert not raised.value.retryable


def test_a_model_must_be_named_where_there_are_several(server: VllmServer) -> None:
    server.cards.append({"id": "other"})
    with pytest.raises(ModelUnavailable, match="other"):
        opened(server.source)
    assert opened(f"{server.source}#other").revision == "vllm:other"


def test_a_model_that_takes_no_pictures_is_found_out_at_the_start(server: VllmServer) -> None:
    server.troubles["grey"] = Trouble(400, "at most 0 image(s) may be provided")
    with pytest.raises(ModelUnavailable, match="at most 0 image"):
        opened(server.source)


def test_the_key_goes_along(server: VllmServer) -> None:
    server.key = KEY
    with pytest.raises(ModelUnavailable, match="CAPTIONER_VLLM_KEY"):
        opened(server.source)
    assert isinstance(opened(server.source, vllm_key=KEY).caption([pixels("red")])[0], Caption)


def test_nothing_of_a_request_is_logged_or_told(
    server: VllmServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.key = KEY
    with caplog.at_level(logging.DEBUG):
        engine = opened(server.source, vllm_key=KEY)
        file = BytesIO()
        Image.fromarray(pixels("red")).save(file, "PNG")
        repeated = f"cannot read data:image/png;base64,{'iVBORw0KGgo' * 400} in your request"
        server.troubles["red"] = Trouble(400, repeated)
        answers = engine.caption([pixels("red"), pixels("blue")], Options(prompt="Secret words?"))
        server.troubles["red"] = Trouble(503, repeated)
        answers += engine.caption([pixels("red")], Options(prompt="Secret words?"))
    told = " ".join(answer.detail for answer in answers if isinstance(answer, CaptionerError))
    assert "cannot read … in your request" in told
    for text in (caplog.text, told, repr(vars(engine))):
        assert "iVBORw0KGgo" not in text
        assert "Secret words?" not in text
    assert KEY not in caplog.text + told
