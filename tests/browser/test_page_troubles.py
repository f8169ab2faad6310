"""What the page says and does when something is wrong: a picture, a request, or the server."""

import json

from PIL import Image
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Told
from tests.browser.using import card, cards, chatting, pick, picked, start
from tests.pictures import encoded, plain


def test_a_bad_picture_says_so_in_words_and_the_others_go_on(page: Page) -> None:
    cut = encoded(Image.effect_noise((200, 200), 90))
    picked(page, good_png=plain("red"), bad_png=b"no picture", cut_png=cut[: len(cut) // 2],
           empty_png=b"", large_png=bytes(300_001), last_png=plain("blue"))  # fmt: skip
    start(page)
    expect(cards(page, "done")).to_have_count(2)
    expect(cards(page, "failed")).to_have_count(4)
    expect(card(page, "bad.png")).to_contain_text("Send one of JPEG, PNG, WEBP, GIF, BMP")
    expect(card(page, "cut.png")).to_contain_text("ends too early")
    expect(card(page, "empty.png")).to_contain_text("The file is empty.")
    expect(card(page, "large.png")).to_contain_text("at most 0.3 MB are allowed")
    expect(page.get_by_role("status")).to_have_text("2 of 6 captioned, 4 failed.")


def test_where_every_picture_is_bad_each_says_why(page: Page, told: Told) -> None:
    told.expected += ("/captionImage",)
    picked(page, one_png=b"no picture", two_png=b"GIF89a")
    start(page)
    expect(cards(page, "failed")).to_have_count(2)
    expect(card(page, "one.png")).to_contain_text("Send one of JPEG")


def test_what_the_server_refuses_is_told_and_can_be_sent_again(page: Page, told: Told) -> None:
    told.expected += ("/captionImage",)
    page.get_by_label("Beginning of the caption").evaluate("field => field.maxLength = 9999")
    page.get_by_label("Beginning of the caption").fill("x" * 501)
    picked(page, one_png=plain("red"))
    start(page)
    expect(card(page, "one.png")).to_contain_text("The prompt has 501 characters")
    page.get_by_label("Beginning of the caption").fill("a wall")
    page.get_by_role("button", name="Try failed ones again").click()
    expect(card(page, "one.png").locator(".caption")).to_have_text("a wall")


def test_markup_in_names_and_captions_is_shown_as_text(page: Page) -> None:
    name = "<img src=x onerror=alert(1)>.png"
    caption = "<script>alert(2)</script><b>bold</b> &amp; <img src=x onerror=alert(3)>"
    page.get_by_label("Beginning of the caption").fill(caption)
    pick(page, {name: plain("red"), "<b>bad</b>.png": b"no picture"})
    start(page)
    expect(cards(page, "done")).to_have_count(1)
    expect(card(page, name).locator(".caption")).to_have_text(caption)
    expect(card(page, "<b>bad</b>.png")).to_have_attribute("data-state", "failed")
    assert page.locator("#cards :is(script, b)").count() == 0
    assert page.locator("#cards img").count() == 1
    shown = page.locator("#cards img").get_attribute("alt")
    assert shown == caption


def test_too_many_together_are_refused_before_they_are_sent(page: Page) -> None:
    chatting(page, "{n} walls.")
    page.get_by_label("One caption for all together").check()
    pick(page, {f"{n}.png": plain("red") for n in range(9)})
    start(page)
    expect(page.get_by_role("alert")).to_have_text(
        "One caption may be of at most 8 pictures; these are 9."
    )
    expect(cards(page, "ready")).to_have_count(9)


def test_without_streams_the_job_is_looked_at(page: Page, told: Told) -> None:
    told.expected += ("/events",)
    page.route("**/events", lambda route: route.fulfill(status=503, json={"detail": "No room."}))
    page.get_by_label("Beginning of the caption").fill("a wall that is polled")
    picked(page, one_png=plain("red"), two_png=b"no picture")
    start(page)
    expect(card(page, "one.png").locator(".caption")).to_have_text("a wall that is polled")
    expect(card(page, "two.png")).to_have_attribute("data-state", "failed")


def test_a_stream_that_breaks_is_taken_up_where_it_was(page: Page) -> None:
    asked: list[str | None] = []

    def breaks(route: Route) -> None:
        asked.append(route.request.headers.get("last-event-id"))
        if len(asked) > 1:
            route.continue_()
            return
        view = {"position": 0, "status": "succeeded", "caption": "told early", "finished_at": "x"}
        body = f"retry: 1000\n\nevent: image\nid: 1\ndata: {json.dumps(view)}\n\n: cut"
        route.fulfill(status=200, content_type="text/event-stream", body=body)

    page.route("**/events", breaks)
    picked(page, one_png=plain("red"), two_png=plain("blue"))
    start(page)
    expect(card(page, "one.png").locator(".caption")).to_have_text("told early")
    expect(cards(page, "done")).to_have_count(2)
    assert asked == ["0", "1"]


def test_a_server_that_is_full_is_asked_again(page: Page, told: Told) -> None:
    told.expected += ("/captionImage",)
    keys: list[str] = []

    def full(route: Route) -> None:
        if route.request.method != "POST":
            route.continue_()
            return
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            route.fulfill(status=429, headers={"Retry-After": "1"}, json={"detail": "It is full."})
        else:
            route.continue_()

    page.route("**/captionImage", full)
    picked(page, one_png=plain("red"))
    start(page)
    expect(card(page, "one.png")).to_contain_text("It is full. Trying again")
    expect(cards(page, "done")).to_have_count(1)
    assert len(keys) == 2
    assert keys[0] == keys[1]


def test_a_server_that_is_away_is_told_of(page: Page, told: Told) -> None:
    told.expected += ("/captionImage",)
    page.route("**/captionImage", lambda route: route.abort())
    picked(page, one_png=plain("red"))
    start(page)
    expect(card(page, "one.png")).to_contain_text("The server cannot be reached. Trying again")
    page.get_by_role("button", name="Cancel").click()
    expect(cards(page, "canceled")).to_have_count(1)


def test_a_server_that_asks_for_a_key_gets_it(page: Page, told: Told) -> None:
    told.expected += ("/api/models",)
    keys: list[str | None] = []

    def guarded(route: Route) -> None:
        keys.append(route.request.headers.get("x-api-key"))
        if keys[-1] is None:
            route.fulfill(status=401, json={"detail": "Send a key."})
        else:
            route.continue_()

    page.route("**/api/models", guarded)
    page.reload()
    expect(page.get_by_role("alert")).to_have_text("Send a key.")
    page.get_by_label("API key").fill("sesame")
    page.get_by_label("API key").press("Tab")
    expect(page.get_by_label("Model")).to_be_enabled()
    expect(page.get_by_role("alert")).to_be_hidden()
    assert keys == [None, "sesame"]


def test_a_key_that_is_asked_for_when_pictures_are_sent_can_be_given_then(
    page: Page, told: Told
) -> None:
    told.expected += ("/captionImage",)

    def guarded(route: Route) -> None:
        known = route.request.headers.get("x-api-key") == "sesame"
        if known:
            route.continue_()
        else:
            route.fulfill(status=401, json={"detail": "Send a key."})

    page.route("**/captionImage", guarded)
    picked(page, one_png=plain("red"))
    start(page)
    expect(card(page, "one.png")).to_contain_text("Send a key.")
    page.get_by_label("API key").fill("sesame")
    page.get_by_role("button", name="Try failed ones again").click()
    expect(cards(page, "done")).to_have_count(1)
