"""One image's way to its styles, by Google's own client, against a server with Gemini's wire
format: every way in which it can go wrong. What it does with its time: `test_styling_time`.
"""

import asyncio
import json
import logging

import pytest

from captioner.styles import Style, Styling
from tests.gemini_server import (
    BUSY,
    DOWN,
    ENDLESS,
    GARBAGE,
    KEY,
    NO_CANDIDATES,
    NO_JSON,
    PROMPT_BLOCKED,
    RESET,
    TRUNCATED,
    UNSAFE,
    WRONG_KEY,
    GeminiServer,
    Trouble,
)
from tests.unit.styling import WISH, Asking, claim, whole
from tests.unit.styling import gemini as gemini
from worker.styling.breaker import Breaker
from worker.styling.brief import FORM, RULES
from worker.styling.course import Course
from worker.styling.gemini import GeminiStyler

ECHO = Trouble(
    text=json.dumps(
        {"styles": [{"style": style, "captions": [RULES[:300], FORM]} for style in WISH.styles]}
    )
)


def test_an_answer_is_read_and_told_as_it_comes(gemini: GeminiServer) -> None:
    gemini.pause_s = 0.15
    asking = Asking(gemini)
    assert asking.each(claim()) == [whole()]
    assert asking.told
    assert asking.told[-1][0][0] is Style.WITTY
    (asked,) = gemini.asked
    assert asked.path == "/v1beta/models/gemini-flash-latest:streamGenerateContent?alt=sse"
    config = asked.json["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert config["responseJsonSchema"]["properties"]["styles"]["minItems"] == 2
    assert asked.json["systemInstruction"]["parts"][0]["text"].startswith("You write captions")


def test_gemma_is_told_the_form_in_words(gemini: GeminiServer) -> None:
    asking = Asking(gemini, gemini_model="gemma-3-27b-it")
    assert asking.each(claim()) == [whole()]
    (asked,) = gemini.asked
    assert asked.path.startswith("/v1beta/models/gemma-3-27b-it:")
    assert "systemInstruction" not in asked.json
    assert "responseMimeType" not in asked.json["generationConfig"]
    assert "one JSON object and nothing else" in asked.words


@pytest.mark.parametrize(
    "trouble",
    [BUSY, DOWN, RESET, Trouble(status=500), Trouble(status=429, headers={"Retry-After": "0"})],
    ids=lambda trouble: f"{trouble.status or ''}{'reset' if trouble.reset else ''}",
)
def test_trouble_that_passes_is_met_with_another_call(
    gemini: GeminiServer, trouble: Trouble
) -> None:
    gemini.troubles = [trouble, trouble]
    assert Asking(gemini).each(claim()) == [whole()]
    assert len(gemini.asked) == 3


@pytest.mark.parametrize(
    ("trouble", "code", "calls"),
    [
        (BUSY, "styler_unavailable", 3),
        (DOWN, "styler_unavailable", 3),
        (Trouble(status=500), "styler_unavailable", 3),
        (RESET, "styler_unavailable", 3),
        (WRONG_KEY, "styler_refused", 1),
        (Trouble(status=401), "styler_refused", 1),
        (Trouble(status=403), "styler_refused", 1),
        (Trouble(status=404), "styler_refused", 1),
        (Trouble(status=400), "styler_refused", 1),
        (UNSAFE, "styler_blocked", 2),
        (PROMPT_BLOCKED, "styler_blocked", 2),
        (GARBAGE, "styler_garbled", 2),
        (TRUNCATED, "styler_garbled", 2),
        (NO_CANDIDATES, "styler_garbled", 2),
        (NO_JSON, "styler_garbled", 2),
        (ENDLESS, "styler_garbled", 2),
        (ECHO, "styler_garbled", 2),
        (Trouble(body=b""), "styler_garbled", 2),
        (Trouble(body=b'data: {"candidates": 7}\n\n'), "styler_garbled", 2),
        (Trouble(body=b'data: {"error": {"code": 500, "status": "INTERNAL"}}\n\n'), None, None),
    ],
    ids=str,
)
def test_trouble_that_stays_ends_in_a_bounded_number_of_calls(
    gemini: GeminiServer, trouble: Trouble, code: str | None, calls: int | None
) -> None:
    gemini.always = trouble
    (found,) = Asking(gemini).each(claim())
    assert found == code or (code is None and found.startswith("styler_"))
    assert len(gemini.asked) == calls or (calls is None and len(gemini.asked) <= 3)


def test_the_second_question_says_what_was_wrong_with_the_answer(gemini: GeminiServer) -> None:
    for trouble, words in ((GARBAGE, "of no use"), (UNSAFE, "held back")):
        gemini.troubles = [trouble]
        assert Asking(gemini).each(claim()) == [whole()]
        assert words in gemini.asked[-1].words
        assert words not in gemini.asked[-2].words


def test_a_wrong_key_is_found_out_with_one_call_however_many_wait(gemini: GeminiServer) -> None:
    gemini.always = Trouble(status=403)
    asking = Asking(gemini)
    assert asking.together(*[claim() for _ in range(20)]) == ["styler_refused"] * 20
    assert len(gemini.asked) == 1


def test_one_image_tries_first_and_then_all_go_at_once(gemini: GeminiServer) -> None:
    gemini.takes_s = 0.2
    asking = Asking(gemini)
    assert asking.together(*[claim() for _ in range(8)]) == [whole()] * 8
    starts = sorted(asked.at for asked in gemini.asked)
    assert starts[1] - starts[0] >= 0.2
    assert gemini.most_at_once > 1


def test_a_caller_who_leaves_while_trying_lets_the_next_one_try(gemini: GeminiServer) -> None:
    async def leave_first() -> list:
        styler = GeminiStyler(asking.settings)
        course = Course(styler, asking.breaker, timeout_s=5)
        first, second = (
            asyncio.create_task(course.run(claim(), tell=lambda _: None)) for _ in range(2)
        )
        await asyncio.sleep(0.3)
        first.cancel()
        found = await asyncio.gather(first, second, return_exceptions=True)
        await styler.close()
        return found

    gemini.takes_s = 0.6
    asking = Asking(gemini)
    left, styled = asyncio.run(leave_first())
    assert isinstance(left, asyncio.CancelledError)
    assert styled == whole()


def test_a_stranger_whose_captions_are_blocked_does_not_close_it_for_others(
    gemini: GeminiServer,
) -> None:
    gemini.troubles = [UNSAFE] * 10
    found = Asking(gemini).each(*[claim() for _ in range(6)])
    assert found == ["styler_blocked"] * 5 + [whole()]


def test_nothing_that_was_asked_or_answered_nor_the_key_is_in_the_log(
    gemini: GeminiServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    asking = Asking(gemini)
    for trouble in (GARBAGE, NO_JSON, WRONG_KEY, Trouble(status=400)):
        gemini.troubles = [trouble] * 2
        asking.breaker = Breaker()
        asking.each(claim("a canary-4711", Styling(styles=WISH.styles, tone="canary-4712")))
    quiet = [record for record in caplog.records if not record.name.startswith("httpcore")]
    said = "\n".join(f"{r.getMessage()} {r.args} {r.exc_info}" for r in quiet)
    assert "canary" not in said
    assert KEY not in said
    assert "weather" not in said
