"""How much of what clients send one process holds in memory at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Request

from captioner.errors import Overloaded
from captioner.settings import Settings


class Room:
    """Room for the bodies of requests, counted in bytes. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._free = settings.max_bodies_bytes
        self._lock = threading.Lock()

    @contextmanager
    def taken_for(self, request: Request) -> Iterator[None]:
        """Room for the body of this request. Raises `Overloaded`, without reading it."""
        size = self._needed(request)
        with self._lock:
            if size > self._free:
                raise Overloaded(
                    "The server holds as many large requests as it has room for. Try again shortly."
                )
            self._free -= size
        try:
            yield
        finally:
            with self._lock:
                self._free += size

    def _needed(self, request: Request) -> int:
        settings = self._settings
        if request.mimetype == "application/json":  # held as a whole
            most = min(settings.max_json_bytes, settings.max_body_bytes)
        else:  # on disk; one picture of it at a time is in memory
            most = settings.max_image_bytes
        length = request.content_length
        return most if length is None else min(length, most)
