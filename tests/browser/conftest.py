"""A service whose models say what they are told, and a browser that looks at its page."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page

from tests import processes, stacks, talker
from tests.browser import chromium
from tests.gemini_server import GeminiServer, serving
from tests.integration.calls import ready_models
from tests.integration.styling import environment as with_styles
from tests.stacks import Stack

MODELS = {"blip", "intern_vlm"}
ENVIRONMENT = {
    "CAPTIONER_MODEL": "blip",
    "CAPTIONER_MODELS": ",".join(sorted(MODELS)),
    "CAPTIONER_CACHE_TTL_S": "600",
    "CAPTIONER_MAX_IMAGES": "8",
    "CAPTIONER_MAX_IMAGE_BYTES": "300000",
    "CAPTIONER_STYLE_CONCURRENCY": "2",
}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The page knows nothing of databases: the first stack will do."""
    folder = tmp_path_factory.mktemp("browser")
    with stacks.started(stacks.NAMES[0], folder) as started:
        yield started


@pytest.fixture(scope="session")
def gemini() -> Iterator[GeminiServer]:
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def base(
    stack: Stack, gemini: GeminiServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of the service."""
    folder: Path = tmp_path_factory.mktemp("service")
    environment = {**with_styles(stack, gemini), **ENVIRONMENT}
    upgraded = [processes.CAPTIONER, "db", "upgrade"]
    with processes.running(upgraded, environment, log=folder / "db.log") as upgrade:
        assert upgrade.wait(timeout=60) == 0
    with (
        processes.service(environment, folder, workers=0, ready=False) as address,
        processes.running(talker.COMMAND, environment, log=folder / "worker.log"),
    ):
        with httpx.Client(base_url=address) as client:
            ready = lambda: ready_models(client) == MODELS  # noqa: E731
            processes.until(ready, what="ready worker", timeout_s=180)
        yield address


@pytest.fixture
def http(base: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")  # while it runs, nothing else in this process can use asyncio
def browser() -> Iterator[Browser]:
    with chromium.running() as running:
        yield running


@dataclass
class Told:
    """What the browser itself had to say of a page."""

    console: list[ConsoleMessage] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    """Requests to other hosts."""
    expected: tuple[str, ...] = ()
    """Paths that may answer with an error, which the console then tells of."""

    @property
    def wrong(self) -> list[str]:
        """All that should not have been said."""
        said = [
            message.text
            for message in self.console
            if message.type in ("error", "warning")
            and not message.location.get("url", "").endswith(self.expected)
        ]
        return [*said, *self.errors, *self.dialogs, *self.foreign]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def page(browser: Browser, base: str, told: Told) -> Iterator[Page]:
    """The page, open. It has failed when the browser found anything wrong with it."""
    context = browser.new_context(base_url=base, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(30_000)
    opened = context.new_page()
    opened.on("console", lambda message: told.console.append(message))
    opened.on("pageerror", lambda error: told.errors.append(str(error)))
    opened.on("dialog", lambda dialog: (told.dialogs.append(dialog.message), dialog.dismiss()))
    opened.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((base, "blob:", "data:"))
            else told.foreign.append(request.url)
        ),
    )
    opened.goto("/")
    yield opened
    context.close()
    assert told.wrong == []
