"""Debian's chromium, installed where it is missing and we may; no other browser is fetched."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

APT = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-y", "--no-install-recommends"]
QUIET = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}


def path() -> str:
    """Where chromium is. Fails the test, and says how to install it, where it cannot be had."""
    found = shutil.which("chromium")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        _install()
        found = shutil.which("chromium")
    if found is None:
        pytest.fail("These tests need chromium: apt-get install --no-install-recommends chromium")
    return found


def _install() -> None:
    done = subprocess.run([*APT, "install", "chromium"], env=QUIET, capture_output=True, text=True)
    if done.returncode:  # its lists of packages may be old, or not there
        subprocess.run([*APT, "update"], env=QUIET, check=True, capture_output=True)
        subprocess.run([*APT, "install", "chromium"], env=QUIET, check=True, capture_output=True)


@contextmanager
def running() -> Iterator[Browser]:
    """A browser without a window. No sandbox: as root it has none, and it sees our page alone."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            browser.close()
