"""A client's socket that gives up on a client that is too slow."""

import errno
import logging
import socket
import struct
import time
from typing import Any, Self

log = logging.getLogger(__name__)

RECEIVE_S = 15.0
SEND_S = 10.0
"""A write gives up when in so long a wait fewer than `MIN_BYTES_PER_S` were taken."""
UNACKNOWLEDGED_MS = 25_000
"""After that the kernel closes a connection whose other end takes nothing, or is not there."""
MIN_BYTES_PER_S = 1024
"""What a body must bring over every `RECEIVE_S` seconds that we wait for it."""


class TooSlow(ConnectionResetError):
    """The client sends or takes too little; the connection is closed."""

    def __init__(self) -> None:
        super().__init__(errno.ECONNRESET, "the client was too slow")


class ClientSocket(socket.socket):
    """While it blocks, at most for so long. The bounds are the kernel's: see socket(7)."""

    waited_s = 0.0
    """Spent in waiting for the client since `came` was last zero."""
    came = 0
    takes_nothing = False
    """Whether a write was given up."""

    @classmethod
    def adopt(cls, accepted: socket.socket) -> Self:
        """Take over a socket; the one given is no longer to be used."""
        adopted = cls(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        adopted.setblocking(True)
        adopted.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(RECEIVE_S))
        adopted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(SEND_S))
        if adopted.family != socket.AF_UNIX and hasattr(socket, "TCP_USER_TIMEOUT"):
            adopted.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
        return adopted

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """As a socket's; raises `TooSlow` when too little comes and we would wait."""
        if flags or self.gettimeout() is not None:
            return super().recv(size, flags)
        began = time.monotonic()
        try:
            data = super().recv(size)
        except BlockingIOError as error:
            raise _given_up() from error
        self._count(len(data), time.monotonic() - began)
        return data

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """As a socket's; raises `TooSlow` when too little is taken and we would wait."""
        if self.gettimeout() is not None:
            super().sendall(data, flags)
            return
        left = memoryview(data).cast("B")
        while left:
            began = time.monotonic()
            try:
                sent = self.send(left, flags)
            except (BlockingIOError, TimeoutError) as error:  # by SEND_S, or UNACKNOWLEDGED_MS
                raise self._not_taken() from error
            if time.monotonic() - began >= SEND_S and sent < MIN_BYTES_PER_S * SEND_S:
                raise self._not_taken()
            left = left[sent:]

    def _not_taken(self) -> TooSlow:
        # Closing it now drops what the client did not take, instead of keeping it for it.
        self.takes_nothing = True
        self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return _given_up()

    def _count(self, came: int, waited_s: float) -> None:
        self.came += came
        self.waited_s += waited_s
        if self.waited_s >= RECEIVE_S:
            if self.came < MIN_BYTES_PER_S * RECEIVE_S:
                raise _given_up()
            self.came, self.waited_s = 0, 0.0


def _given_up() -> TooSlow:
    log.info("A client was too slow.", extra={"action": "client_too_slow"})
    return TooSlow()


def has_left(client: socket.socket | None) -> bool:
    """Whether the other end has closed the connection. Never waits."""
    if client is None:
        return False
    try:
        return client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _timeval(seconds: float) -> bytes:
    return struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
