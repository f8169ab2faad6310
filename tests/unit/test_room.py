"""A worker takes no more in hand than it can soon work on."""

import threading
import time

import pytest

from captioner.errors import ShuttingDown
from worker.room import Room


def test_no_more_than_all_of_it_is_taken() -> None:
    room, inside, most = Room(8, leaving=threading.Event()), 0, 0
    counting = threading.Lock()

    def take(images: int) -> None:
        nonlocal inside, most
        with room.taking(images):
            with counting:
                inside += images
                most = max(most, inside)
            time.sleep(0.01)
            with counting:
                inside -= images

    threads = [threading.Thread(target=take, args=(1 + n % 4,)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert not any(thread.is_alive() for thread in threads)
    assert 4 < most <= 8


def test_more_than_all_of_it_waits_for_all_and_is_not_stuck() -> None:
    room = Room(4, leaving=threading.Event())
    with room.taking(100):
        pass
    with room.taking(4):
        pass


def test_whoever_waits_is_sent_away_when_the_process_leaves() -> None:
    leaving = threading.Event()
    room, sent_away = Room(1, leaving=leaving), threading.Event()

    def wait() -> None:
        with pytest.raises(ShuttingDown), room.taking(1):
            pass
        sent_away.set()

    with room.taking(1):
        waiter = threading.Thread(target=wait)
        waiter.start()
        leaving.set()
        assert sent_away.wait(5)
    waiter.join()
