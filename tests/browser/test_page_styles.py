"""Styles on the page, by their contract: the test plays the routes of a server that has them."""

import json
import re

from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Told
from tests.browser.using import card, picked, start
from tests.pictures import plain

STYLES = {
    "styles": [
        {"name": "Witty", "description": "It makes people smile."},
        {"name": "Short & Punchy", "description": "A few words."},
    ],
    "stylers": {"default": "gemini", "configured": True},
}


def test_styles_are_chosen_and_captions_in_them_shown(page: Page) -> None:
    """What a server with styles says, by its contract: the routes are played by the test."""
    forms: list[str] = []
    styled = [{"style": "Witty", "captions": ["Wall <b>street</b> 🧱", "Off the wall"]}]
    view = {"position": 0, "status": "succeeded", "caption": "a wall", "tags": None,
            "flagged": None, "cached": False, "finished_at": "x"}  # fmt: skip
    first = {**view, "styled": None, "style_status": None, "style_warning": None}
    last = {
        **view,
        "styled": styled,
        "style_status": "fallback",
        "style_warning": {"code": "x", "title": "Plain", "detail": "Only one."},
    }

    def submit(route: Route) -> None:
        forms.append(route.request.post_data_buffer.decode("latin-1"))
        route.fulfill(status=202, json={"id": "7", "status": "queued"})

    partial = {"id": "7", "position": 0, "styled": [{"style": "Witty", "captions": ["Re"]}]}
    events = "".join(
        f"event: {name}\nid: {n}\ndata: {json.dumps(data)}\n\n"
        for n, (name, data) in enumerate(
            [("image", first), ("partial", partial), ("image", last), ("end", {})], 1
        )
    )
    page.route("**/api/styles", lambda route: route.fulfill(json=STYLES))
    page.route("**/captionImage", submit)
    page.route(
        "**/events", lambda route: route.fulfill(content_type="text/event-stream", body=events)
    )
    page.reload()
    page.get_by_label("Witty").check()
    page.get_by_label("Captions of each").fill("2")
    page.get_by_label("Hashtags").uncheck()
    page.get_by_label("Tone").fill("warm")
    picked(page, one_png=plain("red"))
    start(page)
    expect(card(page, "one.png").get_by_role("heading", name="Witty")).to_be_visible()
    expect(page.locator(".styled section p")).to_have_text(styled[0]["captions"])
    expect(page.locator(".styled .warning")).to_have_text("Only one.")
    expect(page.get_by_role("button", name="Copy this Witty caption")).to_have_count(2)
    sent = re.findall(r'name="(style\w*)"\r\n\r\n(.*?)\r\n', forms[0])
    assert sent == [
        ("styles", "Witty"), ("style_count", "2"), ("style_emoji", "true"),
        ("style_hashtags", "false"), ("style_tone", "warm"),
    ]  # fmt: skip


def test_without_styles_their_section_stays_away(page: Page, told: Told) -> None:
    told.expected = ("/api/styles",)
    page.route("**/api/styles", lambda route: route.fulfill(status=404, json={}))
    page.reload()
    expect(page.get_by_label("Model")).to_be_enabled()
    expect(page.get_by_role("group", name="Styles")).to_be_hidden()
