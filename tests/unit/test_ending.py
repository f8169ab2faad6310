"""A worker that was told to go is gone in time, and hands back first what it can."""

import threading
import time

from worker.ending import EXIT_CODE, end_within


def test_what_is_held_is_handed_back_before_the_end() -> None:
    said: list[object] = []
    began = time.monotonic()
    end_within(0.5, lambda: said.append("handed back"), end=said.append).join(5)
    assert said == ["handed back", EXIT_CODE]
    assert 0.4 <= time.monotonic() - began < 1


def test_a_database_that_hangs_does_not_put_off_the_end() -> None:
    never = threading.Event()
    said: list[object] = []
    began = time.monotonic()
    end_within(0.5, never.wait, end=said.append).join(5)
    never.set()
    assert said == [EXIT_CODE]
    assert time.monotonic() - began < 1


def test_a_hand_back_that_fails_does_not_either() -> None:
    said: list[object] = []
    end_within(0.2, lambda: 1 / 0, end=said.append).join(5)
    assert said == [EXIT_CODE]
