"""What the HTTP servers of tests have in common: a thread of their own, and silence."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

Some = TypeVar("Some", bound="HttpServer")


class HttpServer:
    """Serves from its making until it is closed. Handlers find it as `self.server.owner`."""

    def __init__(
        self, handler: type[BaseHTTPRequestHandler], port: int = 0, host: str = "127.0.0.1"
    ) -> None:
        self._http = _Http((host, port), handler)
        self._http.owner = self
        self.host, self.port = host, int(self._http.server_address[1])
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class Handler(BaseHTTPRequestHandler):
    """Keeps connections, and says nothing on the terminal."""

    protocol_version = "HTTP/1.1"
    server: "_Http"

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """A whole answer."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    owner: Any

    def handle_error(self, *_: object) -> None:
        """A caller that hangs up, or was killed, is no error here."""


@contextmanager
def closing(server: Some) -> Iterator[Some]:
    """The server for the length of the block."""
    try:
        yield server
    finally:
        server.close()
