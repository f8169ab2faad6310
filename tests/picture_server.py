"""A host of pictures for tests: the test says what each path answers, and calls are counted."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Page:
    """One answer."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    after_s: float = 0
    then_s: float = 0
    """How long the connection stays open after all that was sent."""


class PictureServer:
    """Answers GET by `pages`, by path without query; others are 404."""

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        self.pages: dict[str, Page] = {}
        self.calls: Counter[str] = Counter()
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()
        self._http = _Http((host, port), _Handler)
        self._http.pictures = self
        self.host, self.port = host, int(self._http.server_address[1])
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()

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

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    pictures: PictureServer

    def handle_error(self, *_: object) -> None:
        """A caller that was killed is no error here."""


class _Handler(BaseHTTPRequestHandler):
    server: _Http

    def do_GET(self) -> None:
        page = self.server.pictures.called(self.path.partition("?")[0])
        self.send_response(page.status)
        headers = {"Content-Length": str(len(page.body)), **page.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(page.body)
        time.sleep(page.then_s)

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


def allowing(server: PictureServer) -> dict[str, str]:
    """Settings under which this server alone may be called, and leases are short."""
    return {
        "CAPTIONER_OUTBOUND_ALLOW": f"{server.host}:{server.port}",
        "CAPTIONER_LOG_LEVEL": "DEBUG",
        "CAPTIONER_LEASE_S": "4",
        "CAPTIONER_RECONCILE_S": "1",
        "CAPTIONER_HEARTBEAT_S": "1",
    }


@contextmanager
def serving(**how) -> Iterator[PictureServer]:
    server = PictureServer(**how)
    try:
        yield server
    finally:
        server.close()
