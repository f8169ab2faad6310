"""A host of pictures for tests: the test says what each path answers, and calls are counted."""

import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from tests.http_server import Handler, HttpServer, closing


@dataclass(frozen=True)
class Page:
    """One answer."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    after_s: float = 0
    then_s: float = 0
    """How long the connection stays open after all that was sent."""


class PictureServer(HttpServer):
    """Answers GET by `pages`, by path without query; others are 404."""

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        self.pages: dict[str, Page] = {}
        self.calls: Counter[str] = Counter()
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()
        super().__init__(_Handler, port, host)

    def url(self, path: str, query: str = "") -> str:
        return f"http://{self.host}:{self.port}{path}{'?' if query else ''}{query}"

    def add(self, path: str, body: bytes = b"", **how) -> str:
        self.pages[path] = Page(body, **how)
        return self.url(path)

    def called(self, path: str) -> Page:
        with self._lock:
            self.calls[path] += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        page = self.pages.get(path, Page(status=404))
        time.sleep(page.after_s)
        with self._lock:
            self.at_once -= 1
        return page


class _Handler(Handler):
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        page = self.server.owner.called(self.path.partition("?")[0])
        self.send(page.status, page.body, dict(page.headers))
        time.sleep(page.then_s)


def allowing(server: PictureServer) -> dict[str, str]:
    """Settings under which this server alone may be called, and leases are short."""
    return {
        "CAPTIONER_OUTBOUND_ALLOW": f"{server.host}:{server.port}",
        "CAPTIONER_LOG_LEVEL": "DEBUG",
        "CAPTIONER_LEASE_S": "4",
        "CAPTIONER_RECONCILE_S": "1",
        "CAPTIONER_HEARTBEAT_S": "1",
    }


def serving(**how) -> AbstractContextManager[PictureServer]:
    return closing(PictureServer(**how))
