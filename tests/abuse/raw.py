"""Requests byte by byte, as no client library would send them."""

import json
import select
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass
class Answer:
    """What came back on one connection, until it was closed or time was up."""

    data: bytes
    closed: bool
    sent: int = 0
    """Bytes that the server's side took."""
    answered_s: float = 0.0
    """From the beginning of the request to that of the answer."""

    @property
    def statuses(self) -> list[int]:
        """Of each answer on the connection, interim ones too."""
        lines = [line for line in self.data.split(b"\r\n") if line.startswith(b"HTTP/1.")]
        return [int(line.split()[1]) for line in lines]

    @property
    def head(self) -> str:
        return self.data.rpartition(b"HTTP/1.1 ")[2].partition(b"\r\n\r\n")[0].decode("latin-1")

    @property
    def problem(self) -> dict:
        return json.loads(self.data.rpartition(b"\r\n\r\n")[2])


def connect(base: str) -> socket.socket:
    address = urlsplit(base)
    return socket.create_connection((address.hostname, address.port), timeout=20)


def send(base: str, data: bytes, *, more: bytes = b"", times: int = 0) -> Answer:
    """Send the bytes, then `more` again and again until the server has enough; read all of it."""
    sent, begun = 0, time.monotonic()
    with connect(base) as sock:
        with suppress(ConnectionError, TimeoutError):
            sock.sendall(data)
            sent += len(data)
            for _ in range(times):
                if _has_answered(sock):
                    break
                sock.sendall(more)
                sent += len(more)
        select.select([sock], [], [], 20)
        answered_s = time.monotonic() - begun
        got, closed = read(sock)
    return Answer(got, closed, sent, answered_s)


def _has_answered(sock: socket.socket) -> bool:
    return bool(select.select([sock], [], [], 0)[0])


def read(sock: socket.socket, *, timeout_s: float = 20) -> tuple[bytes, bool]:
    """All that comes until the server closes, or says nothing for a while after an answer."""
    data, deadline = b"", time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        sock.settimeout(12 if data else timeout_s)  # what is left is dropped, for 7 s at most
        try:
            got = sock.recv(65536)
        except TimeoutError:
            return data, False
        except ConnectionError:
            return data, True
        if not got:
            return data, True
        data += got
    return data, False
