"""Small real servers for the outbound tests: each connection is answered by a function."""

import contextlib
import gzip
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable

Answer = Callable[[socket.socket], None]
OK = b"HTTP/1.1 200 OK\r\n"
TLS_HELLO = b"\x16"


class Server:
    """Listens at once; `requests` are the heads that came, `connections` counts all."""

    def __init__(
        self,
        answer: Answer,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        takes_bodies: bool = True,
    ) -> None:
        self._answer = answer
        self._tls = tls
        self._takes_bodies = takes_bodies
        self._open: list[socket.socket] = []
        self.requests: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self._listening = socket.create_server((host, port))
        self.port = self._listening.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            with connection:
                head = b""
                while b"\r\n\r\n" not in head and not head.startswith(TLS_HELLO):
                    head += connection.recv(65_536) or b"\r\n\r\n"
                head, _, body = head.partition(b"\r\n\r\n")
                self.requests.append(head)
                if self._takes_bodies:  # what is left unread would reset the connection
                    self.bodies.append(_rest(connection, head, body))
                self._answer(connection)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in self._threads:
            thread.join(timeout=5)


def _rest(connection: socket.socket, head: bytes, body: bytes) -> bytes:
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    while length and len(body) < int(length[1]):
        body += connection.recv(65_536) or bytes(int(length[1]))
    return body


@contextlib.contextmanager
def serve(answer: Answer, **how):
    server = Server(answer, **how)
    try:
        yield server
    finally:
        server.close()


def says(*parts: bytes) -> Answer:
    """Sends the parts and closes."""

    def answer(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)

    return answer


def body(data: bytes, *headers: bytes) -> Answer:
    """A proper answer with 200."""
    lines = b"".join(line + b"\r\n" for line in (*headers, b"Content-Length: %d" % len(data)))
    return says(OK, lines, b"\r\n", data)


def status(line: bytes, *headers: bytes) -> Answer:
    """An answer with another status and no body."""
    lines = b"".join(header + b"\r\n" for header in (*headers, b"Content-Length: 0"))
    return says(b"HTTP/1.1 " + line + b"\r\n", lines, b"\r\n")


def redirect(location: str, line: bytes = b"302 Found") -> Answer:
    return status(line, b"Location: " + location.encode())


def drips(*, head: bytes, pause_s: float) -> Answer:
    """A byte now and then, for ever."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(b"a")
            time.sleep(pause_s)

    return answer


class Flood:
    """Sends as much as it can get rid of; `sent` counts the bytes."""

    def __init__(self, head: bytes, chunk: bytes = bytes(65_536), *, limit: int = 2**30) -> None:
        self._head, self._chunk, self._limit = head, chunk, limit
        self.sent = 0

    def __call__(self, connection: socket.socket) -> None:
        connection.sendall(self._head)
        while self.sent < self._limit:
            self.sent += connection.send(self._chunk)


def packed(data: bytes, *, kind: str) -> bytes:
    """The data, compressed as gzip or deflate."""
    return gzip.compress(data) if kind == "gzip" else zlib.compress(data)


def bomb(mebibytes: int) -> bytes:
    """That many MiB of zeros as gzip, without its end: one compressed block again and again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    head = packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * mebibytes
