"""An asyncio loop in a thread of its own, for those who are threads themselves."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")


class Loop:
    """Runs coroutines. Its thread starts with the first."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._starting = threading.Lock()

    def submit(self, work: Coroutine[Any, Any, Result]) -> "Future[Result]":
        """Begin it. To cancel the future is to cancel it."""
        with self._starting:
            if not self._thread.is_alive():
                self._thread.start()
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """Stop; what runs is dropped."""
        with self._starting:
            if not self._thread.is_alive():
                return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
