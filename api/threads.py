"""Threads for requests: made when there is work, ended when there is none for a while."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

log = logging.getLogger(__name__)

IDLE_S = 1.0


class Threads:
    """Runs calls on at most `limit` threads at a time; the rest wait their turn.

    Unlike `ThreadPoolExecutor` it gives threads back, and does not hold up the process's end.
    """

    def __init__(self, limit: int, *, idle_s: float = IDLE_S) -> None:
        self._limit = limit
        self._idle_s = idle_s
        self._todo: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._running = 0
        self._idle = 0
        self._closed = False

    def submit(self, call: Callable[..., Any], *args: Any) -> Future[Any]:
        """Run it on a thread. What it returns or raises is the future's."""
        future: Future[Any] = Future()
        with self._changed:
            self._todo.append(lambda: _fulfil(future, call, args))
            if len(self._todo) <= self._idle:
                self._changed.notify()
            elif self._running < self._limit:
                self._running += 1
                threading.Thread(target=self._work, name="request", daemon=True).start()
        return future

    def shutdown(self, wait: bool = False) -> None:  # noqa: ARG002 - gunicorn says wait=False
        """Let idle threads end at once. Calls that run, or wait, are not cut off."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _work(self) -> None:
        while (call := self._next()) is not None:
            call()
            del call

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._todo or self._closed, self._idle_s)
            self._idle -= 1
            if self._todo:
                return self._todo.popleft()
            self._running -= 1
            return None


def _fulfil(future: Future[Any], call: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        future.set_result(call(*args))
    except BaseException as error:  # noqa: BLE001 - it is whoever holds the future that handles it
        future.set_exception(error)
