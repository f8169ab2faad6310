"""Styles on the page, from a service whose Gemini is a server of ours."""

import json
import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Told
from tests.browser.using import card, cards, pick, picked, start
from tests.gemini_server import UNSAFE, GeminiServer, Trouble
from tests.pictures import plain

CAPTION = "a grey wall"


@pytest.fixture
def styler(gemini: GeminiServer):
    gemini.asked.clear()
    yield gemini
    gemini.troubles.clear()
    gemini.pause_s = gemini.takes_s = 0.0


def wish(page: Page, *styles: str) -> None:
    for style in styles:
        page.get_by_label(style).check()


def test_every_style_of_the_server_can_be_chosen(page: Page, http: httpx.Client) -> None:
    names = [style["name"] for style in http.get("/api/styles").json()["styles"]]
    assert len(names) == 8
    for name in names:
        expect(page.get_by_role("group", name="Styles").get_by_label(name)).to_be_visible()


def test_what_was_chosen_is_asked_for_and_its_captions_are_shown(
    page: Page, styler: GeminiServer
) -> None:
    wish(page, "Witty", "Poetic")
    page.get_by_label("Captions of each").fill("3")
    page.get_by_label("Hashtags").uncheck()
    page.get_by_label("Emoji").uncheck()
    page.get_by_label("Tone").fill("warm")
    picked(page, one_png=plain("red"))
    start(page)
    mine = card(page, "one.png")
    expect(mine).to_have_attribute("data-state", "done", timeout=30_000)
    expect(mine.locator(".caption")).to_have_text(CAPTION)
    expect(mine.get_by_role("heading", level=3)).to_have_text(["Witty", "Poetic"])
    expect(mine.locator(".styled section p")).to_have_text(
        [f"{style} {n}: {CAPTION}" for style in ("Witty", "Poetic") for n in (1, 2, 3)]
    )
    expect(mine.get_by_role("button", name="Copy this Poetic caption")).to_have_count(3)
    (asked,) = styler.asked
    assert (asked.wishes["tone"], asked.wishes["captions_per_style"]) == ("warm", 3)
    assert (asked.wishes["emoji"], asked.wishes["hashtags"]) == ("none", "none")


def test_the_plain_caption_is_shown_while_the_styler_has_not_said_a_word(
    page: Page, styler: GeminiServer
) -> None:
    styler.takes_s = 4
    wish(page, "Witty")
    picked(page, one_png=plain("red"))
    start(page)
    mine = card(page, "one.png")
    expect(mine.locator(".caption")).to_have_text(CAPTION)
    expect(mine.locator(".state")).to_have_text("Writing in your styles…")
    expect(mine.locator(".picture img")).to_have_attribute("alt", CAPTION)
    expect(mine.get_by_role("button", name="Copy the caption of one.png")).to_be_visible()
    assert mine.get_attribute("data-state") == "styling"
    assert mine.locator(".styled section").count() == 0
    expect(mine).to_have_attribute("data-state", "done", timeout=30_000)
    expect(mine.locator(".state")).to_be_hidden()
    expect(mine.locator(".styled section p").first).to_contain_text(f"Witty 1: {CAPTION}")


def test_those_in_line_for_the_styler_show_their_plain_captions_too(
    page: Page, styler: GeminiServer
) -> None:
    styler.takes_s = 3
    wish(page, "Witty")
    pick(page, {f"{n}.png": plain(colour) for n, colour in enumerate(("red", "tan", "navy"))})
    pick(page, {f"{n}.png": plain(colour) for n, colour in enumerate(("teal", "plum", "pink"), 3)})
    start(page)
    expect(page.locator(".caption:visible")).to_have_text([CAPTION] * 6, timeout=15_000)
    assert len(styler.asked) < 6
    assert cards(page, "done").count() < 6
    expect(cards(page, "done")).to_have_count(6, timeout=60_000)


def test_styled_captions_grow_as_they_are_written(page: Page, styler: GeminiServer) -> None:
    styler.pause_s = 0.4
    wish(page, "Witty", "Poetic", "Evocative")
    picked(page, one_png=plain("red"))
    start(page)
    mine = card(page, "one.png")
    expect(mine.get_by_role("heading", name="Witty")).to_be_visible()
    assert mine.get_attribute("data-state") == "styling"
    assert mine.get_by_role("heading", name="Evocative").count() == 0
    expect(mine).to_have_attribute("data-state", "done", timeout=30_000)
    expect(mine.get_by_role("heading", level=3)).to_have_text(["Witty", "Poetic", "Evocative"])


def test_markup_of_a_styler_is_text(page: Page, styler: GeminiServer) -> None:
    sly = ["<img src=x onerror=alert(1)> 🧱", "</p><script>alert(2)</script>"]
    said = {"styles": [{"style": "Witty", "captions": sly}]}
    styler.troubles = [Trouble(text=json.dumps(said))]
    wish(page, "Witty")
    picked(page, one_png=plain("red"))
    start(page)
    expect(card(page, "one.png").locator(".styled section p")).to_have_text(sly)
    assert page.locator(".styled img, .styled script").count() == 0


def test_a_picture_without_its_styles_says_why_and_has_its_caption(
    page: Page, styler: GeminiServer
) -> None:
    styler.troubles = [UNSAFE, UNSAFE]
    wish(page, "Witty")
    picked(page, one_png=plain("red"))
    start(page)
    mine = card(page, "one.png")
    expect(mine.locator(".styled .warning")).to_contain_text("held its answer back")
    expect(mine.locator(".caption")).to_have_text(CAPTION)
    expect(page.get_by_role("status")).to_have_text(re.compile("1 of 1 captioned"))


def test_where_no_stream_gets_through_it_is_looked_at_and_shows_the_same(
    page: Page, styler: GeminiServer, told: Told
) -> None:
    told.expected = ("/events",)
    page.route("**/events", lambda route: route.abort())
    styler.takes_s = 4
    wish(page, "Witty")
    picked(page, one_png=plain("red"))
    start(page)
    mine = card(page, "one.png")
    expect(mine.locator(".caption")).to_have_text(CAPTION)
    assert mine.get_attribute("data-state") == "styling"
    expect(mine).to_have_attribute("data-state", "done", timeout=30_000)
    expect(mine.get_by_role("heading", name="Witty")).to_be_visible()


def test_without_styles_their_section_stays_away(page: Page, told: Told) -> None:
    told.expected = ("/api/styles",)
    page.route("**/api/styles", lambda route: route.fulfill(status=404, json={}))
    page.reload()
    expect(page.get_by_label("Model")).to_be_enabled()
    expect(page.get_by_role("group", name="Styles")).to_be_hidden()
