"""How the tests use the page: by what people read there."""

import re

from playwright.sync_api import Locator, Page

YES, NO = '{"flagged": true}', '{"flagged": false}'


def picked(page: Page, **pictures: bytes) -> None:
    """Choose files of these names (`a_png` is a.png)."""
    pick(page, {name.replace("_", "."): data for name, data in pictures.items()})


def pick(page: Page, pictures: dict[str, bytes]) -> None:
    page.get_by_label("Choose pictures").set_input_files(
        [{"name": n, "mimeType": "image/png", "buffer": data} for n, data in pictures.items()]
    )


def start(page: Page) -> None:
    page.get_by_role("button", name=re.compile("^Caption")).click()


def cards(page: Page, state: str | None = None) -> Locator:
    return page.locator(f".card[data-state={state}]" if state else ".card")


def card(page: Page, name: str) -> Locator:
    return cards(page).filter(has=page.get_by_role("heading", name=name, exact=True))


def chatting(page: Page, prompt: str) -> None:
    page.get_by_label("Model").select_option("intern_vlm")
    page.get_by_label("Question", exact=True).fill(prompt)
