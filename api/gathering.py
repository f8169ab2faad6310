"""gunicorn's threaded worker, made so that slow clients cost no threads.

gthread gives a socket to a thread once something can be read, and the thread then waits for the
rest without a bound. Here the main loop gathers a request first, as nginx would in front: its head,
and its body up to 64 KiB. Threads wait only for larger bodies, for answers to be taken, and for
jobs; each of these is bounded (`api.sockets`, `captioner.waiting`).
"""

import errno
import logging
import socket
import time
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn import util  # type: ignore[import-untyped]
from gunicorn.http.body import ChunkedReader  # type: ignore[import-untyped]
from gunicorn.workers.gthread import (  # type: ignore[import-untyped]
    STOP_KEEPALIVE_LINGER,
    TConn,
    ThreadWorker,
)

from api import parse_errors
from api.arrival import ENOUGH_BYTES, Arrival
from api.sockets import ClientSocket
from api.threads import Threads

log = logging.getLogger(__name__)

SWEEP_S = 0.5
DRAINED_BYTES = 64 * 1024
"""Of a body that is left unread, gunicorn reads so much to keep the connection."""
NOT_OURS = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED, errno.EPROTO)
FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Connection(TConn):  # type: ignore[misc] # gunicorn has no types
    """A client's connection; closed once, in whichever thread that is."""

    is_closed = False

    def close(self, graceful: bool = False) -> None:
        """Close it; `graceful` waits up to two seconds for the client to close first."""
        if not self.is_closed:
            self.is_closed = True
            super().close(graceful and not self.sock.takes_nothing)


class GatheringWorker(ThreadWorker):  # type: ignore[misc]
    """Each of its processes: the main loop gathers, `Threads` answer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._arriving: dict[Connection, Arrival] = {}
        self._swept_at = 0.0

    def is_parent_alive(self) -> bool:
        """Called by gunicorn in every turn. An orphan leaves its port to the next server at once.

        It answers what it has begun, and that may take its whole grace; gunicorn would keep the
        port for so long, where nobody takes connections and no other server can listen.
        """
        if super().is_parent_alive():
            return True
        self.alive = False
        self.set_accept_enabled(False)
        for listener in self.sockets:
            listener.close()
        return False

    def get_thread_pool(self) -> Threads:
        """Called by gunicorn once."""
        return Threads(self.cfg.threads)

    def accept(self, listener: socket.socket) -> None:
        """Called by gunicorn for each new connection."""
        try:
            accepted, address = listener.accept()
        except OSError as error:
            if error.errno in FULL:
                log.error("No new connection: %s", error, extra={"action": "accept_failed"})
                time.sleep(0.05)
            elif error.errno not in NOT_OURS:
                raise
            return
        self.nr_conns += 1
        client = ClientSocket.adopt(accepted)
        self.enqueue_req(Connection(self.cfg, client, address, listener.getsockname()))

    def enqueue_req(self, conn: Connection) -> None:
        """Called by gunicorn for each connection on which a request may come: gather it first."""
        early = conn.parser.unreader.take_buffered() if conn.parser else b""
        arrival = Arrival(early, max_body_bytes=self.app.settings.max_body_bytes)
        if arrival.is_enough:
            self._hand_over(conn, arrival)
            return
        conn.sock.setblocking(False)
        self._arriving[conn] = arrival
        self._answer(conn, arrival)
        self.poller.register(conn.sock, EVENT_READ, partial(self._receive, conn))
        self._receive(conn, conn.sock)

    def murder_pending(self) -> None:
        """Called by gunicorn in each turn of its loop: give up on requests that do not come."""
        now = time.monotonic()
        if now - self._swept_at < SWEEP_S:
            return
        self._swept_at = now
        overdue = [each for each in self._arriving.items() if each[1].is_overdue(now)]
        for conn, arrival in overdue:
            self._time_is_up(conn, arrival)
        for conn in [c for c, arrival in self._arriving.items() if self._is_unused(arrival, now)]:
            self._drop(conn)
        if overdue:
            log.info(
                "%d requests came slowly or not at all.",
                len(overdue),
                extra={"action": "client_too_slow"},
            )

    def _is_unused(self, arrival: Arrival, now: float) -> bool:
        """Whether nothing came on it since this process began to leave, or before."""
        leaving = not self.alive and not arrival.data
        return leaving and now - arrival.began > STOP_KEEPALIVE_LINGER

    def handle(self, conn: Connection) -> object:
        """Called by gunicorn in a thread. Closes here: gunicorn would do it in the main loop."""
        conn.sock.came, conn.sock.waited_s = 0, 0.0
        reusable = super().handle(conn)
        if not reusable:
            conn.close(graceful=True)
        return reusable

    def handle_request(self, req: Any, conn: Connection) -> object:
        """Called by gunicorn in a thread. Where so much of the body is left unread that it closes
        the connection, the answer says so: else the next request might be sent on it.
        """
        usual = req.should_close
        req.should_close = lambda: usual() or _is_left(req.body.reader)
        return super().handle_request(req, conn)

    def handle_error(self, req: Any, client: socket.socket, addr: object, exc: Exception) -> None:
        """Called by gunicorn when a request cannot be read, or the application raised."""
        told = parse_errors.unreadable(exc, self.app.settings)
        if told is None:
            super().handle_error(req, client, addr, exc)
            return
        with suppress(OSError):
            util.write_nonblock(client, told)

    def _receive(self, conn: Connection, _socket: object) -> None:
        arrival = self._arriving[conn]
        try:
            data = conn.sock.recv(ENOUGH_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(conn)
            return
        arrival.add(data)
        self._answer(conn, arrival)
        if arrival.is_enough:
            self._hand_over(conn, self._forget(conn))

    def _answer(self, conn: Connection, arrival: Arrival) -> None:
        if answer := arrival.answer_due():
            with suppress(OSError):  # it will send its body all the same, a little later
                conn.sock.send(answer)

    def _hand_over(self, conn: Connection, arrival: Arrival) -> None:
        conn.init()
        conn.parser.unreader.unread(bytes(arrival.data))
        conn.data_ready = True
        super().enqueue_req(conn)

    def _time_is_up(self, conn: Connection, arrival: Arrival) -> None:
        if arrival.came_steadily:
            self._hand_over(conn, self._forget(conn))
            return
        if arrival.data:
            with suppress(OSError):
                util.write_nonblock(conn.sock, parse_errors.too_slow(self.app.settings))
        self._drop(conn)

    def _drop(self, conn: Connection) -> None:
        self._forget(conn)
        self.nr_conns -= 1
        conn.close()

    def _forget(self, conn: Connection) -> Arrival:
        self.poller.unregister(conn.sock)
        return self._arriving.pop(conn)


def _is_left(reader: Any) -> bool:
    """Whether gunicorn would not read the rest of a body."""
    if isinstance(reader, ChunkedReader):
        return reader.parser is not None
    return getattr(reader, "length", 0) >= DRAINED_BYTES
