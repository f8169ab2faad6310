"""Row 30 of the fault matrix in full numbers: streams whose API process is killed under them."""

import os
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from captioner import schema
from tests import crowd, stacks
from tests.crowd import Client
from tests.integration.conftest import settings_of
from tests.integration.test_clients import Api
from tests.pictures import plain

pytestmark = pytest.mark.long

JOBS, IMAGES, EACH = 100, 3, 5
KILLS_AT_S = (3.0, 7.0)
"""Of one process and then of the other, while images end one after another."""
LONGEST_S = 90.0
PAUSE_S = 0.5
NUMBER = re.compile(rb"^id: (\d+)$", re.MULTILINE)


@dataclass
class Reader:
    """A client that follows one job, and comes back with the last number it has seen."""

    path: str
    client: Client | None = None
    not_before: float = 0
    numbers: list[int] = field(default_factory=list)
    calls: int = 0
    ended: bool = False

    def look(self, base: str) -> None:
        if self.client is None:
            self.call(base)
        elif self.client.closed_after_s is None:
            self.client.read()
        else:
            self.take(self.client.answer)

    def call(self, base: str) -> None:
        if time.monotonic() < self.not_before:
            return
        last = f"Last-Event-ID: {self.numbers[-1]}\r\n" if self.numbers else ""
        head = f"GET {self.path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{last}\r\n"
        try:
            (self.client,) = crowd.connect(base, 1, head.encode())
            self.calls += 1
        except OSError:  # nobody listens just now
            self.not_before = time.monotonic() + PAUSE_S

    def take(self, answer: bytes) -> None:
        """What a connection gave, now that it is closed."""
        whole = answer[: answer.rfind(b"\n\n") + 1]  # an event that was cut is none
        self.numbers += [int(number) for number in NUMBER.findall(whole)]
        self.ended = b"event: end" in whole
        self.client, self.not_before = None, time.monotonic() + PAUSE_S


@pytest.fixture(params=["sqlite-valkey", "postgres-valkey"])
def api(request, tmp_path: Path) -> Iterator[Api]:
    with stacks.started(request.param, tmp_path) as stack:
        schema.upgrade(settings_of(stack))
        with crowd.api(stack.environment, tmp_path) as (base, pid):
            made = Api(stack, base, pid)
            yield made
            made.database.close()


def test_five_hundred_streams_see_the_end_though_both_processes_are_killed(api) -> None:
    files = [("images", (f"{n}.png", plain())) for n in range(IMAGES)]
    paths = [
        httpx.post(f"{api.base}/captionImage", files=files).headers["Location"] + "/events"
        for _ in range(JOBS)
    ]
    readers = [Reader(path) for path in paths for _ in range(EACH)]
    began, kills, finished = time.monotonic(), list(KILLS_AT_S), 0
    while (left := [r for r in readers if not r.ended]) and time.monotonic() < began + LONGEST_S:
        for reader in left:
            reader.look(api.base)
        if kills and time.monotonic() > began + kills[0]:
            kills.pop(0)
            os.kill(crowd.children(api.pid)[0], signal.SIGKILL)
        if time.monotonic() > began + 0.04 * finished + 1 and finished < JOBS * IMAGES:
            finished += api.finish(1)
    calls = sum(reader.calls for reader in readers)
    seconds = time.monotonic() - began
    print(
        f"\n  {len(readers)} streams in {calls} connections, {seconds:.1f} s; no end: {len(left)}"
    )
    assert not kills
    assert not left
    assert calls > len(readers) * 1.5
    for reader in readers:
        assert len(reader.numbers) == IMAGES + 1  # the end has one too
        assert reader.numbers == sorted(set(reader.numbers))
