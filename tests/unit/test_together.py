"""Writes that come at the same time are made together; each caller is told of its own."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from captioner.errors import DatabaseUnavailable
from captioner.together import MOST, Together


class Store:
    """Doubles numbers, and notes which came together. The first write waits to be let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def write(self, items: list[int]) -> list[int]:
        self.batches.append(list(items))
        self.begun.set()
        assert self.go_on.wait(10)
        if -1 in items:
            raise ValueError("a bad one")
        if -2 in items:
            raise DatabaseUnavailable("away")
        return [2 * item for item in items]


def run(store: Store, items: list[int], *, impatient: bool = False) -> list[object]:
    """The first alone, and the others while it is being written."""
    together = Together(store.write, name="test", impatient=impatient)

    def one(item: int) -> object:
        try:
            return together(item)
        except Exception as error:
            return type(error)

    with ThreadPoolExecutor(len(items)) as pool:
        first = pool.submit(one, items[0])
        assert store.begun.wait(10)
        rest = [pool.submit(one, item) for item in items[1:]]
        while len(together._waiting) < len(rest):
            pass
        store.go_on.set()
        return [future.result(10) for future in (first, *rest)]


def test_what_came_meanwhile_is_written_at_once_and_each_gets_its_own_answer() -> None:
    store = Store()
    assert run(store, [1, 2, 3, 4]) == [2, 4, 6, 8]
    assert [len(batch) for batch in store.batches] == [1, 3]


def test_one_write_takes_so_many_and_no_more() -> None:
    store = Store()
    items = list(range(1, MOST + 12))
    assert run(store, items) == [2 * item for item in items]
    assert [len(batch) for batch in store.batches] == [1, MOST, 10]


def test_the_one_at_fault_fails_alone() -> None:
    store = Store()
    assert run(store, [1, 2, -1, 4]) == [2, 4, ValueError, 8]


def test_a_database_that_is_away_is_asked_once_and_everybody_is_told() -> None:
    store = Store()
    assert run(store, [1, 2, -2, 4]) == [2, *[DatabaseUnavailable] * 3]
    assert len(store.batches) == 2


def test_a_caller_whose_write_failed_leaves_the_way_free() -> None:
    def write(items: list[int]) -> list[int]:
        if items == [0]:
            raise ValueError("zero")
        return items

    together = Together(write, name="test")
    with pytest.raises(ValueError, match="zero"):
        together(0)
    assert together(1) == 1


def test_the_impatient_are_told_with_the_first_that_the_database_is_away() -> None:
    store = Store()
    assert run(store, [-2, 2, 3], impatient=True) == [DatabaseUnavailable] * 3
    assert store.batches == [[-2]]


def test_while_an_impatient_one_asks_again_the_others_hear_at_once_and_then_it_is_back() -> None:
    store = Store()
    together = Together(store.write, name="test", impatient=True)
    store.go_on.set()
    with pytest.raises(DatabaseUnavailable):
        together(-2)
    store.begun.clear()
    store.go_on.clear()
    asking = together.put(5)
    assert store.begun.wait(10)
    with pytest.raises(DatabaseUnavailable):
        together(6)
    store.go_on.set()
    assert asking.result(10) == 10
    assert together(7) == 14
