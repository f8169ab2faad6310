"""The page at `/`, as people use it, in a real browser on a real service.

Each test of a page fails as well when the browser finds anything to complain of: an error in the
console, a script that raised, something that the policy stopped, or a call to another host.
"""

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.using import NO, YES, card, cards, chatting, pick, picked, start
from tests.pictures import plain
from tests.processes import until


def test_a_card_fills_in_for_each_picture(page: Page) -> None:
    page.get_by_label("Beginning of the caption").fill("a photo of a red door")
    picked(page, one_png=plain("red"), two_png=plain("green"))
    expect(cards(page, "ready")).to_have_count(2)
    expect(page.get_by_role("status")).to_have_text("2 ready to be sent.")
    start(page)
    expect(cards(page, "done")).to_have_count(2)
    expect(page.get_by_role("status")).to_have_text("2 of 2 captioned.")
    one = card(page, "one.png")
    expect(one.locator(".caption")).to_have_text("a photo of a red door")
    expect(one.get_by_role("list", name="Tags").get_by_role("listitem")).to_have_text(
        ["red", "door"]
    )
    shown = one.get_by_role("img", name="a photo of a red door")
    assert shown.get_attribute("src").startswith("blob:")
    assert shown.evaluate("img => img.naturalWidth") == 64


def test_the_cache_and_the_flag_leave_their_marks(page: Page) -> None:
    chatting(page, "A teal wall.")
    page.get_by_label("Flag pictures").check()
    question = page.get_by_label("Question of yes or no")
    question.fill(f"? | {YES}")
    picked(page, a_png=plain("teal"))
    start(page)
    marks = page.get_by_role("list", name="Marks").get_by_role("listitem")
    expect(marks).to_have_text(["Flagged"])
    picked(page, b_png=plain("teal"))
    start(page)
    expect(marks).to_have_text(["Flagged", "Flagged", "From the cache"])
    page.get_by_label("Make it anew, even if it is known").check()
    question.fill(f"? | {NO}")
    picked(page, c_png=plain("teal"))
    start(page)
    expect(card(page, "c.png").get_by_role("listitem")).to_have_text(
        ["teal", "wall", "Not flagged"]
    )


def test_all_pictures_together_get_one_card(page: Page) -> None:
    chatting(page, "{n} walls.")
    page.get_by_label("One caption for all together").check()
    picked(page, a_png=plain("red"), b_png=plain("blue"), c_png=plain("green"))
    start(page)
    expect(cards(page, "done")).to_have_count(1)
    expect(cards(page)).to_have_count(1)
    expect(card(page, "3 pictures together").locator(".caption")).to_have_text("3 walls.")
    expect(cards(page).get_by_role("img")).to_have_count(3)


def test_only_served_models_are_offered_each_with_what_it_can(page: Page) -> None:
    options = page.get_by_label("Model").get_by_role("option")
    expect(options).to_have_text(["blip", "intern_vlm"])
    expect(page.get_by_label("Flag pictures")).to_be_disabled()
    expect(page.get_by_label("One caption for all together")).to_be_disabled()
    expect(page.locator("#chat-hint")).to_contain_text("need a chat model: intern_vlm.")
    page.get_by_label("Model").select_option("intern_vlm")
    expect(page.get_by_label("Flag pictures")).to_be_enabled()
    expect(page.get_by_label("One caption for all together")).to_be_enabled()
    expect(page.get_by_label("Question of yes or no")).to_be_hidden()


def test_a_large_pick_is_split_into_jobs_that_the_server_takes(
    page: Page, http: httpx.Client
) -> None:
    sent: list[str] = []
    page.on("request", lambda asked: sent.append(asked.url) if asked.method == "POST" else None)
    pick(page, {f"{n}.png": plain("red", 64, 64 + n) for n in range(20)})
    start(page)
    expect(cards(page, "done")).to_have_count(20)
    assert len(sent) == 3
    listed = http.get("/captionImage", params={"limit": 3}).json()
    assert sorted(job["counts"]["total"] for job in listed) == [4, 8, 8]


def test_a_job_can_be_canceled(page: Page, http: httpx.Client) -> None:
    page.get_by_label("Beginning of the caption").fill("zzz a slow wall")
    pick(page, {f"{n}.png": plain("navy", 64, 64 + n) for n in range(40)})
    start(page)
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(cards(page, "running").first).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(cards(page, "canceled").first).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden(timeout=60_000)
    assert cards(page, "canceled").count() + cards(page, "done").count() == 40
    until(
        lambda: not http.get("/captionImage", params={"status": ["queued", "running"]}).json(),
        what="end of all jobs",
    )


def test_a_caption_is_copied(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_label("Beginning of the caption").fill("a wall to copy")
    picked(page, one_png=plain("red"))
    start(page)
    button = card(page, "one.png").get_by_role("button", name="Copy the caption of one.png")
    button.click()
    expect(button).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "a wall to copy"


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_pictures_may_be_dropped_and_pasted(page: Page, way: str) -> None:
    event = page.evaluate_handle(
        """([way, bytes]) => {
            const carried = new DataTransfer();
            carried.items.add(new File([new Uint8Array(bytes)], "given.png", {type: "image/png"}));
            const init = {bubbles: true, cancelable: true};
            return way === "drop"
                ? new DragEvent("drop", {...init, dataTransfer: carried})
                : new ClipboardEvent("paste", {...init, clipboardData: carried});
        }""",
        [way, list(plain("red"))],
    )
    page.evaluate("event => document.body.dispatchEvent(event)", event)
    start(page)
    expect(card(page, "given.png")).to_have_attribute("data-state", "done")


@pytest.mark.parametrize("carried", ["a file", "text"])
def test_a_file_that_is_dragged_over_the_page_may_be_dropped_and_text_goes_its_way(
    page: Page, carried: str
) -> None:
    """Where it is not prevented a browser opens the file in place of the page."""
    prevented = page.evaluate(
        """carried => {
            const dataTransfer = new DataTransfer();
            if (carried === "text") dataTransfer.setData("text/plain", "words");
            else dataTransfer.items.add(new File(["x"], "given.png", {type: "image/png"}));
            const over = new DragEvent("dragover", {bubbles: true, cancelable: true, dataTransfer});
            return !document.body.dispatchEvent(over);
        }""",
        carried,
    )
    is_file = carried == "a file"
    assert prevented == is_file
    assert ("over" in (page.locator("#drop").get_attribute("class") or "")) == is_file
