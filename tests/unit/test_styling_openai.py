"""Styles by any server that speaks OpenAI's API."""

import asyncio
import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from captioner.errors import CaptionerError
from captioner.settings import Settings
from captioner.styles import Style, Styling
from captioner.work import Claim
from tests.openai_server import KEY, MODEL, OpenAiServer, Trouble, serving
from worker.styling.breaker import Breaker
from worker.styling.course import Course
from worker.styling.openai import WITHOUT_S, OpenAiStyler

WISH = Styling(styles=(Style.WITTY, Style.SHORT), count=2)
FIRST = "Witty 1: a red circle 😀 #picture #photo"


@pytest.fixture
def openai() -> Iterator[OpenAiServer]:
    with serving() as server:
        yield server


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


def ask(
    openai: OpenAiServer,
    images: int = 1,
    told: list | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
    between: Callable[[], object] = lambda: None,
    **settings: object,
):
    """What becomes of some images in one loop: captions, or the code of an error."""
    given = {"openai_url": openai.url, "openai_key": KEY, "openai_model": MODEL, **settings}

    async def run() -> list:
        styler = OpenAiStyler(Settings(**given), clock)
        course = Course(styler, Breaker(), timeout_s=5)
        found = []
        for _ in range(images):
            claim = Claim(uuid4(), 0, 2, None, "scenes", styling=WISH, caption="a red circle")
            try:
                found.append(await course.run(claim, tell=([] if told is None else told).append))
            except CaptionerError as error:
                found.append(error.code)
            between()
        await styler.close()
        return found

    return asyncio.run(run())


def test_an_answer_comes_in_a_stream_and_is_held_to_a_schema(openai: OpenAiServer) -> None:
    told: list = []
    (found,) = ask(openai, told=told)
    assert found[0] == (Style.WITTY, (FIRST, FIRST.replace("1", "2")))
    assert [style for style, _ in found] == [Style.WITTY, Style.SHORT]
    assert told
    (chat,) = openai.asked
    assert chat["response_format"]["json_schema"]["strict"] is True
    assert [message["role"] for message in chat["messages"]] == ["system", "user"]


def test_a_server_that_does_not_stream_is_read_too(openai: OpenAiServer) -> None:
    openai.streams = False
    (found,) = ask(openai)
    assert found[0][1][0] == FIRST


def test_a_server_without_schemas_is_told_the_form_in_words_from_then_on(
    openai: OpenAiServer,
) -> None:
    openai.knows_schemas = False
    first, second = ask(openai, images=2)
    assert first == second
    assert first[0][1][0] == FIRST
    assert ["response_format" in chat for chat in openai.asked] == [True, False, False]
    assert "one JSON object and nothing else" in openai.asked[-1]["messages"][0]["content"]


def test_a_request_that_was_refused_for_something_else_turns_schemas_off_for_a_while_alone(
    openai: OpenAiServer,
) -> None:
    clock = Clock()
    openai.troubles = [Trouble(status=400)]
    ask(openai, images=2, clock=clock, between=lambda: clock.passes(WITHOUT_S - 1))
    assert ["response_format" in chat for chat in openai.asked] == [True, False, False]
    openai.asked.clear()
    openai.troubles = [Trouble(status=422)]
    ask(openai, images=3, clock=clock, between=lambda: clock.passes(WITHOUT_S))
    assert ["response_format" in chat for chat in openai.asked] == [True, False, True, True]


def test_a_server_that_asks_for_no_key_gets_none(openai: OpenAiServer) -> None:
    openai.key = None
    assert len(ask(openai, openai_key=None)[0]) == 2
    assert "Authorization" not in openai.heads[0]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_trouble_that_passes_is_met_with_another_call(openai: OpenAiServer, status: int) -> None:
    openai.troubles = [Trouble(status=status)]
    assert len(ask(openai)[0]) == 2
    assert len(openai.asked) == 2


@pytest.mark.parametrize(
    ("trouble", "code", "calls"),
    [
        (Trouble(status=503), "styler_unavailable", 3),
        (Trouble(status=401), "styler_refused", 1),
        (Trouble(status=404), "styler_refused", 1),
        (Trouble(status=418), "styler_refused", 1),
        (Trouble(status=302, headers={"Location": "/v2"}), "styler_refused", 1),
        (Trouble(text="cut", finish="length"), "styler_garbled", 2),
        (Trouble(text="", finish="content_filter"), "styler_blocked", 2),
        (Trouble(text="", refusal="I would rather not."), "styler_blocked", 2),
        (Trouble(text=""), "styler_garbled", 2),
        (Trouble(text="words"), "styler_garbled", 2),
        (Trouble(text="x" * 2_000_000), "styler_garbled", 2),
        (Trouble(body=b"<html>"), "styler_garbled", 2),
        (Trouble(body=b'{"choices": 7}'), "styler_garbled", 2),
        (Trouble(body=b'{"choices": []}'), "styler_garbled", 2),
    ],
    ids=str,
)
def test_trouble_that_stays_ends_in_a_bounded_number_of_calls(
    openai: OpenAiServer, trouble: Trouble, code: str, calls: int
) -> None:
    openai.troubles = [trouble] * 5
    openai.streams = len(trouble.text or "") < 1_000
    assert ask(openai) == [code]
    assert len(openai.asked) == calls


def test_a_server_that_is_not_there_is_unavailable(openai: OpenAiServer) -> None:
    openai.close()
    assert ask(openai) == ["styler_unavailable"]
