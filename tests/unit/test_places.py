"""Fewer places than models: they take turns, in groups, and each has its turn in the end."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from captioner.errors import ShuttingDown
from tests.processes import until
from worker.engines.places import LINGER_S, Places, Unwanted

WAIT_S = 20


@dataclass
class Town:
    """Places, and who was in them: loaded by whoever comes first, emptied when told."""

    capacity: int
    turn_s: float = 60.0
    there: set[str] = field(default_factory=set)
    inside: dict[str, int] = field(default_factory=dict)
    worked: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.places = Places(self.capacity, turn_s=self.turn_s, empty=self.empty)

    def empty(self, model: str) -> None:
        with self.lock:
            self.there.remove(model)
            if self.inside.get(model):
                self.wrong.append(f"{model} was emptied in use")

    def work(self, model: str, seconds: float) -> None:
        with self.places.using(model):
            with self.lock:
                self.inside[model] = self.inside.get(model, 0) + 1
                if model not in self.there:
                    self.there.add(model)
                    self.loads.append(model)
                if len(self.there) > self.capacity > 0:
                    self.wrong.append(f"{self.there} are more than {self.capacity}")
            time.sleep(seconds)
            with self.lock:
                self.inside[model] -= 1
                self.worked.append(model)

    def start(self, model: str, seconds: float = 0.0) -> threading.Thread:
        thread = threading.Thread(target=self.work, args=(model, seconds))
        thread.start()
        self.threads.append(thread)
        return thread

    def join(self) -> None:
        for thread in self.threads:
            thread.join(WAIT_S)
            assert not thread.is_alive()


@pytest.fixture
def town() -> Iterator[Town]:
    made = Town(capacity=1)
    yield made
    made.join()
    assert made.wrong == []


def test_messages_that_come_in_turns_are_worked_on_in_groups(town) -> None:
    for _ in range(20):
        town.start("a", 0.02)
        town.start("b", 0.02)
    town.join()
    assert town.worked.count("a") == town.worked.count("b") == 20
    assert town.loads in (["a", "b"], ["a", "b", "a"])


def test_a_model_that_always_has_work_goes_after_its_turn_and_comes_back() -> None:
    town = Town(capacity=1, turn_s=0.3)
    ending = threading.Event()

    def keep_busy() -> None:
        while not ending.is_set():
            town.work("a", 0.02)

    busy = [threading.Thread(target=keep_busy) for _ in range(3)]
    for thread in busy:
        thread.start()
    time.sleep(0.1)
    took = []
    for _ in range(3):
        began = time.monotonic()
        town.work("b", 0.01)
        took.append(time.monotonic() - began)
        until(lambda: "a" in town.there, what="return of a")
    ending.set()
    for thread in busy:
        thread.join(WAIT_S)
    print(f"seconds until b was through: {[round(each, 2) for each in took]}")
    assert town.wrong == []
    assert max(took) < 2
    assert town.loads == ["a", "b"] * 3 + ["a"]


def test_the_one_that_was_used_least_lately_makes_room() -> None:
    town = Town(capacity=2)
    for model in ("a", "b", "a"):
        town.work(model, 0.01)
    town.work("c", 0.01)
    assert town.there == {"a", "c"}
    assert town.wrong == []


def test_one_that_is_in_use_is_never_emptied_whatever_comes() -> None:
    town = Town(capacity=2, turn_s=0.05)
    for n in range(60):
        town.start("abcde"[n * 7 % 5], 0.005 * (n % 4))
    town.join()
    assert len(town.worked) == 60
    assert town.wrong == []


def test_an_idle_model_stays_for_its_next_message_but_not_for_long(town) -> None:
    town.work("a", 0)
    began = time.monotonic()
    town.work("b", 0)
    assert LINGER_S <= time.monotonic() - began < 1


def test_nobody_goes_for_one_that_has_nothing_left_to_do(town) -> None:
    town.work("a", 0)
    with pytest.raises(Unwanted), town.places.using("b", wanted=lambda: False):
        pass
    assert town.there == {"a"}
    with town.places.using("a", wanted=lambda: False):  # it is there: nothing is lost by it
        pass
    town.work("b", 0)
    assert town.loads == ["a", "b"]


def test_without_a_bound_nobody_waits_or_goes() -> None:
    town = Town(capacity=0)
    for model in "abc" * 5:
        town.start(model, 0.01)
    town.join()
    assert sorted(town.loads) == ["a", "b", "c"]
    assert town.there == {"a", "b", "c"}


def test_a_place_that_is_given_up_is_free(town) -> None:
    town.work("a", 0)
    assert not town.places.has_room()
    town.there.discard("a")
    town.places.give_up("a")
    assert town.places.has_room()


def test_who_waits_is_sent_away_at_the_end(town) -> None:
    left = threading.Event()

    def wait() -> None:
        with pytest.raises(ShuttingDown), town.places.using("b"):
            pass
        left.set()

    with town.places.using("a"):
        waiter = threading.Thread(target=wait)
        waiter.start()
        town.places.close()
        assert left.wait(WAIT_S)
    waiter.join()
