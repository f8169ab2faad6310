"""Styles as options of the VLM API: in its query or its form, and told only where asked for."""

import httpx
import pytest

from tests.contract.vlm import EACH, FIELDS, TOGETHER, check, results, told
from tests.contract.vlm import gemini as gemini
from tests.contract.vlm import http as http
from tests.gemini_server import UNSAFE, GeminiServer
from tests.integration.alone import stack as stack
from tests.integration.calls import files, problem
from tests.pictures import plain

STYLED = {"styled", "style_status", "style_warning"}
CHAT = {"model": "intern_vlm", "caption_prompt": "{n} walls"}


def captions(result: dict) -> dict[str, list[str]]:
    return {each["style"]: each["captions"] for each in result["styled"]}


def test_each_picture_has_the_styles_that_were_asked_for(http: httpx.Client) -> None:
    answer = told(
        http, plain("red"), plain("tan"), caption_prompt="a wall", styles="Witty, Poetic",
        style_count="1", style_emoji="false", style_hashtags="false",
    )  # fmt: skip
    for one in results(answer):
        assert set(one) == FIELDS | STYLED
        assert one["caption"] == "a wall"
        assert captions(one) == {"Witty": ["Witty 1: a wall"], "Poetic": ["Poetic 1: a wall"]}
        assert (one["style_status"], one["style_warning"]) == ("styled", None)


def test_nothing_of_styles_is_told_where_none_were_asked_for(http: httpx.Client) -> None:
    (one,) = results(told(http, plain("red"), caption_prompt="a wall"))
    assert set(one) == FIELDS
    answer = told(http, plain("red"), plain("tan"), route=TOGETHER, **CHAT)
    assert STYLED.isdisjoint(answer.json())


def test_all_together_have_the_styles_of_their_one_caption(http: httpx.Client) -> None:
    answer = told(
        http, plain("red"), plain("tan"), route=TOGETHER, styles="Short & Punchy", style_count="3",
        **CHAT,
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    check("VlmCollective", answer)
    body = answer.json()
    assert body["collective_caption"] == "2 walls"
    (found,) = captions(body).values()
    assert [text.split(" 😀")[0] for text in found] == [
        f"Short & Punchy {n}: 2 walls" for n in (1, 2, 3)
    ]
    assert body["style_status"] == "styled"


@pytest.mark.parametrize(("route", "query"), [(EACH, {}), (TOGETHER, CHAT)], ids=["each", "all"])
def test_a_form_may_say_it_as_well_and_some_of_it_in_each_place(
    http: httpx.Client, gemini: GeminiServer, route: str, query: dict
) -> None:
    answer = http.post(
        route, files=files(plain("navy")), params={**query, "style_count": "1"},
        data={"styles": "Witty", "style_tone": "dry", "style_language": "German"},
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    wishes = gemini.asked[-1].wishes
    assert (wishes["tone"], wishes["language"], wishes["captions_per_style"]) == (
        "dry", "German", 1,
    )  # fmt: skip


def test_one_that_the_styler_will_not_write_about_has_a_warning_in_its_place(
    http: httpx.Client, gemini: GeminiServer
) -> None:
    gemini.troubles = [UNSAFE, UNSAFE]
    (one,) = results(told(http, plain("red"), caption_prompt="a wall", styles="all"))
    assert one["caption"] == "a wall"
    assert (one["styled"], one["style_status"]) == (None, "fallback")
    assert one["style_warning"]["code"] == "styler_blocked"


def test_a_bad_picture_fails_alone_and_has_no_styles(http: httpx.Client) -> None:
    good, bad = results(told(http, plain("red"), b"no picture", styles="Witty"))
    assert set(good) == FIELDS | STYLED
    assert set(bad) == FIELDS | {"error"}


@pytest.mark.parametrize(("route", "query"), [(EACH, {}), (TOGETHER, CHAT)], ids=["each", "all"])
def test_a_wrong_wish_is_refused_by_name(http: httpx.Client, route: str, query: dict) -> None:
    def refused(form: dict | None = None, **wish: str) -> str:
        answer = http.post(route, files=files(plain()), params={**query, **wish}, data=form or {})
        return problem(answer, 400, "invalid_style")["option"]

    assert refused(styles="Gothic") == "styles"
    assert refused(styles="all", style_count="6") == "style_count"
    assert refused(style_tone="dry") == "style_tone"
    assert refused({"styles": "Witty"}, styles="Witty") == "styles"
