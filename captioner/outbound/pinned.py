"""A network backend of httpcore that connects to addresses checked before, and to no other.

The host of the URL still stands in the `Host` header and in TLS: the certificate is verified
against it. Every step takes what is left of one deadline, so that a server that sends a byte now
and then cannot hold a call for longer.
"""

import socket
import ssl
from collections.abc import Iterable, Sequence
from typing import Any

import httpcore

from captioner.outbound.addresses import Address
from captioner.outbound.deadline import Deadline

MAX_TRIED = 4
"""Addresses of one name that are tried in turn."""


class PinnedBackend(httpcore.NetworkBackend):
    """Connects to the first of `addresses` that answers. Whatever name it is asked for is ignored.

    Errors are those of `socket` and `ssl` (OSError), but for writing: `httpcore.WriteError`.
    """

    def __init__(self, addresses: Sequence[Address], *, deadline: Deadline) -> None:
        self._addresses = addresses[:MAX_TRIED]
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - the address was chosen before
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the deadline holds
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """A connection to one of the addresses. Raises OSError of the last one tried."""
        for later in range(len(self._addresses) - 1, 0, -1):
            try:
                return self._connect(self._addresses[-1 - later], port, share=later + 1)
            except OSError:
                continue
        return self._connect(self._addresses[-1], port, share=1)

    def _connect(self, address: Address, port: int, *, share: int) -> httpcore.NetworkStream:
        wait_s = self._deadline.left_s() / share
        connection = socket.create_connection((str(address), port), timeout=wait_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return PinnedStream(connection, deadline=self._deadline)


class PinnedStream(httpcore.NetworkStream):
    """A socket whose every operation ends with the deadline."""

    def __init__(self, connection: socket.socket, *, deadline: Deadline) -> None:
        self._socket = connection
        self._deadline = deadline
        deadline.watch(connection)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        """What has come in, at most `max_bytes`."""
        self._socket.settimeout(self._deadline.left_s())
        return self._socket.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        """Send all of it."""
        try:
            while buffer:
                self._socket.settimeout(self._deadline.left_s())
                buffer = buffer[self._socket.send(buffer) :]
        except OSError as error:  # httpcore reads an early answer after this one
            raise httpcore.WriteError(str(error)) from error

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """The same connection inside TLS, after the certificate was verified."""
        try:
            self._socket.settimeout(self._deadline.left_s())
            inside = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname)
        except OSError:
            self.close()
            raise
        return PinnedStream(inside, deadline=self._deadline)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()
