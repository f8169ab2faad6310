"""The files of the page: what is served, and with which headers."""

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page

from tests import processes
from tests.browser.conftest import Told
from tests.processes import until


def test_the_policy_allows_this_server_alone(http: httpx.Client) -> None:
    page = http.get("/")
    names = {"/", *re.findall(r'"(/web/[^"]+)"', page.text)}
    assert len(names) == 4
    for name in names:
        policy = http.get(name).headers["Content-Security-Policy"]
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        assert rules == {
            "default-src": "'none'", "script-src": "'self'", "style-src": "'self'",
            "img-src": "'self' blob: data:", "connect-src": "'self'",
            "form-action": "'self'", "base-uri": "'none'", "frame-ancestors": "'none'",
        }  # fmt: skip


def test_the_policy_is_heeded(page: Page, told: Told) -> None:
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "alert('inline')";
            document.body.append(script);
        }"""
    )
    until(lambda: bool(told.wrong) or page.wait_for_timeout(50), what="refusal", timeout_s=5)
    assert "Content Security Policy" in told.wrong[0]
    assert told.dialogs == []
    told.console.clear()


def test_nothing_in_it_is_from_elsewhere_or_inline(http: httpx.Client) -> None:
    text = http.get("/").text
    assert not re.search(r"https?://|<style|\son\w+=|style=|<script(?! type=.module. src=)", text)


@pytest.mark.parametrize("name", ["/", "/web/page.js", "/web/page.css", "/web/icon.svg"])
def test_what_a_browser_has_is_not_sent_again(http: httpx.Client, name: str) -> None:
    first = http.get(name)
    assert first.status_code == 200
    assert first.headers["Cache-Control"] == "no-cache"
    again = http.get(name, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert http.head(name).headers["ETag"] == first.headers["ETag"]


@pytest.mark.parametrize(
    "name", ["nothing.js", "index.html", "../app.py", "..%2Fapp.py", "%2e%2e/app.py", ""]
)
def test_nothing_else_is_served(http: httpx.Client, name: str) -> None:
    answer = httpx.get(f"{http.base_url}/web/{name}".replace("//web", "/web"))
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_the_files_are_part_of_the_package(tmp_path: Path) -> None:
    web = processes.ROOT / "api" / "web"
    used = {"index.html"} | {
        name
        for file in web.iterdir()
        for name in re.findall(r"[\"'](?:/web|\.)/([\w.-]+)[\"']", file.read_text("utf-8"))
    }
    assert {file.name for file in web.iterdir()} == used
