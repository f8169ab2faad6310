"""So many write at once; the others wait, for a time, and while there is sense in it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from captioner.errors import DatabaseUnavailable
from captioner.turns import Turns


@contextmanager
def busy(turns: Turns, count: int) -> Iterator[None]:
    """So many hold a turn for the length of the block."""
    inside, over = threading.Barrier(count + 1), threading.Event()

    def hold() -> None:
        with turns.taken():
            inside.wait(5)
            over.wait(5)

    threads = [threading.Thread(target=hold) for _ in range(count)]
    for thread in threads:
        thread.start()
    inside.wait(5)
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_no_more_than_the_places_run_at_once_and_all_have_their_turn() -> None:
    turns = Turns(3, patience_s=10, in_vain=lambda: False)
    lock, now_in, most, done = threading.Lock(), 0, 0, 0

    def work() -> None:
        nonlocal now_in, most, done
        with turns.taken():
            with lock:
                now_in += 1
                most = max(most, now_in)
            time.sleep(0.005)
            with lock:
                now_in -= 1
                done += 1

    threads = [threading.Thread(target=work) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, done) == (3, 40)


def test_who_waits_too_long_is_sent_away() -> None:
    turns = Turns(1, patience_s=0, in_vain=lambda: False)
    with busy(turns, 1), pytest.raises(DatabaseUnavailable, match="too much"), turns.taken():
        pass
    with turns.taken():
        pass


def test_who_waits_in_vain_is_sent_away_soon() -> None:
    turns = Turns(1, patience_s=60, in_vain=lambda: True)
    with busy(turns, 1), pytest.raises(DatabaseUnavailable, match="not answer"), turns.taken():
        pass


def test_a_block_that_raises_gives_its_turn_back() -> None:
    turns = Turns(1, patience_s=0, in_vain=lambda: False)
    with pytest.raises(ZeroDivisionError), turns.taken():
        raise ZeroDivisionError
    with turns.taken():
        pass
