"""What is told of captions while they are written, through a Redis that may hang."""

import threading
import time
from typing import Any
from uuid import UUID

import pytest

from captioner.styles import Style
from captioner.wakeups import Whisper
from tests.gemini_server import GeminiServer
from tests.processes import until
from tests.unit.styling import Asking, claim, whole
from tests.unit.styling import gemini as gemini
from worker.styling.whispers import Whispers


class Herald:
    """Notes what it is to whisper, and hangs until it is let go."""

    def __init__(self) -> None:
        self.told: list[tuple[UUID, Any, str]] = []
        self.let_go = threading.Event()

    def whisper(self, job_id: UUID, position: int, styled: Any, *, caption: str) -> None:
        del position
        self.told.append((job_id, styled, caption))
        self.let_go.wait(30)


@pytest.fixture
def herald():
    made = Herald()
    yield made
    made.let_go.set()


def written(*captions: str) -> tuple:
    return ((Style.WITTY, captions),)


def test_who_says_something_does_not_wait_for_it_to_be_told(herald: Herald) -> None:
    whispers, began, first, second = Whispers(herald, "test"), time.monotonic(), claim(), claim()
    whispers.say(first)
    until(lambda: len(herald.told) == 1, what="first")
    for n in range(100):
        whispers.say(first, written(f"a{n}"))
        whispers.say(second, written(f"b{n}"))
    assert time.monotonic() - began < 2
    assert len(herald.told) == 1
    herald.let_go.set()
    until(lambda: len(herald.told) == 3, what="the rest")
    last = {job_id: styled for job_id, styled, _ in herald.told[1:]}
    assert last == {first.job_id: written("a99"), second.job_id: written("b99")}
    assert {caption for _, _, caption in herald.told} == {"a red circle"}
    whispers.close()
    whispers.say(first)


def test_a_redis_that_hangs_holds_up_no_call(herald: Herald, gemini: GeminiServer) -> None:
    whispers, asking, began = Whispers(herald, "test"), Asking(gemini), time.monotonic()
    gemini.pause_s = 0.05
    asking.told = Telling(whispers)
    assert asking.together(*[claim() for _ in range(4)]) == [whole()] * 4
    assert time.monotonic() - began < 5
    assert len(herald.told) == 1
    whispers.close()


class Telling(list):
    """Takes what a course tells, in place of a list."""

    def __init__(self, whispers: Whispers) -> None:
        super().__init__()
        self._whispers = whispers

    def append(self, so_far: tuple) -> None:
        self._whispers.say(claim(), so_far)


def test_an_older_worker_whispers_without_the_caption() -> None:
    said = b'{"job": "0199a7a3-0000-7000-8000-000000000000", "position": 1, "styled": []}'
    heard = Whisper.parse(said)
    assert heard is not None
    assert (heard.position, heard.caption, heard.styled) == (1, "", ())
    assert Whisper.parse(b"7") is None
