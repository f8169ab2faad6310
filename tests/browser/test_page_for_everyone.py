"""The page by keyboard, on a phone, and in light and dark."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from captioner.styles import Style
from tests.browser.using import YES, cards, chatting, pick, picked, start
from tests.pictures import plain

NARROW = {"width": 375, "height": 720}


def test_a_keyboard_is_enough(page: Page) -> None:
    page.get_by_label("Beginning of the caption").fill("a wall")
    picked(page, one_png=plain("red"), two_png=plain("blue"))
    page.get_by_label("Choose pictures").focus()
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.value"))
        if reached[-1] == "start":
            break
    wishes = [f"style-{name}" for name in ("count", "tone", "language", "emoji", "hashtags")]
    assert reached == ["model", "prompt", "tags", "anew", *Style, *wishes, "start"]
    page.keyboard.press("Enter")
    expect(cards(page, "done")).to_have_count(2)
    page.get_by_role("button", name="Remove one.png").press("Enter")
    expect(cards(page)).to_have_count(1)
    assert page.evaluate("document.activeElement.textContent") == "Copy"


def test_every_control_has_a_name_and_ids_are_unique(page: Page) -> None:
    page.get_by_label("Model").select_option("intern_vlm")
    page.get_by_label("Flag pictures").check()
    picked(page, one_png=plain("red"))
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("input, select, textarea, button, a, img")]
            .filter((one) => one.checkVisibility() && !(one.labels?.length || one.textContent.trim()
                || one.getAttribute("aria-label") || one.hasAttribute("alt")))
            .map((one) => one.outerHTML)"""
    )
    assert nameless == []
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))
    described = page.evaluate(
        """() => [...document.querySelectorAll("[aria-describedby], label[for]")]
            .map((one) => one.getAttribute("aria-describedby") ?? one.htmlFor)"""
    )
    assert set(described) <= set(ids)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_read_in_light_and_dark(page: Page, scheme: str) -> None:
    """WCAG 2.2, 1.4.3: a contrast of 4.5 to 1."""
    page.emulate_media(color_scheme=scheme)
    chatting(page, "A wall to look at.")
    page.get_by_label("Flag pictures").check()
    page.get_by_label("Question of yes or no").fill(f"? | {YES}")
    picked(page, one_png=plain("lime"), bad_png=b"no picture")
    start(page)
    expect(cards(page, "failed")).to_have_count(1)
    expect(cards(page, "done")).to_have_count(1)
    low = page.evaluate((Path(__file__).parent / "contrast.js").read_text(encoding="utf-8"))
    assert low == []


def test_a_phone_shows_all_of_it_without_scrolling_aside(page: Page) -> None:
    page.set_viewport_size(NARROW)
    page.get_by_label("Beginning of the caption").fill("W" * 200)
    pick(page, {f"{'long-name-' * 12}.png": plain("red"), "bad.png": b"no picture"})
    start(page)
    expect(cards(page, "done")).to_have_count(1)
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide == NARROW["width"]
    small = page.evaluate(
        """() => [...document.querySelectorAll("button, select, .switch, .drop")]
            .filter((one) => one.checkVisibility())
            .filter((one) => one.getBoundingClientRect().height < 24)
            .map((one) => one.outerHTML)"""
    )
    assert small == []
