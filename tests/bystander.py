"""A well-behaved client beside a crowd: how long its requests take."""

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx


class Bystander:
    """Asks for one address again and again, each time on a connection of its own."""

    def __init__(self, url: str, *, pause_s: float = 0.02) -> None:
        self._url = url
        self._pause_s = pause_s
        self._done = threading.Event()
        self.times_s: list[float] = []
        self.faults: list[str] = []

    def ask(self) -> None:
        # One client: a new one for each request would spend longer on its own making than we ask.
        no_reuse = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(limits=no_reuse, timeout=30) as client:
            self._ask(client)

    def _ask(self, client: httpx.Client) -> None:
        while not self._done.is_set():
            began = time.monotonic()
            try:
                response = client.get(self._url)
                if response.status_code != 200:
                    self.faults.append(response.text)
            except httpx.HTTPError as error:
                self.faults.append(repr(error))
            self.times_s.append(time.monotonic() - began)
            self._done.wait(self._pause_s)

    def stop(self) -> None:
        self._done.set()

    @property
    def median_s(self) -> float:
        return statistics.median(self.times_s)

    @property
    def p99_s(self) -> float:
        return sorted(self.times_s)[int(len(self.times_s) * 0.99)]

    def __str__(self) -> str:
        return (
            f"{len(self.times_s)} requests, median {self.median_s * 1000:.0f} ms, "
            f"p99 {self.p99_s * 1000:.0f} ms, {len(self.faults)} failed"
        )


@contextmanager
def bystander(url: str) -> Iterator[Bystander]:
    """One that asks for the length of the block."""
    one = Bystander(url)
    thread = threading.Thread(target=one.ask)
    thread.start()
    try:
        yield one
    finally:
        one.stop()
        thread.join()
