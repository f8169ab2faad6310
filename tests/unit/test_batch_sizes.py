"""How large a batch may be: by what memory allowed, and by how long batches took."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.ceiling import PROOF, Ceiling
from worker.costs import FORGOTTEN_S, Costs


def full_batches(ceiling: Ceiling, memory: int, number: int) -> list[int]:
    """Run so many; a batch that is too large is halved, as the batcher does. Returns failures."""
    failures = []
    for _ in range(number):
        sizes = [ceiling.limit]
        while sizes:
            size = sizes.pop()
            if size <= memory:
                ceiling.worked(size)
            else:
                failures.append(size)
                ceiling.failed(size)
                sizes += [size // 2, size - size // 2]
    return failures


def test_memory_that_is_there_is_never_doubted() -> None:
    ceiling = Ceiling(16)
    assert full_batches(ceiling, 16, 10 * PROOF) == []
    assert ceiling.limit == 16


def test_a_batch_that_is_too_large_is_halved_and_then_one_more_is_tried_at_times() -> None:
    ceiling = Ceiling(16)
    assert full_batches(ceiling, 5, 10) == [16, 8, 8]
    assert ceiling.limit == 4
    assert full_batches(ceiling, 5, 2 * PROOF + 2) == [6]  # 5 works, 6 does not
    assert ceiling.limit == 5


def test_each_trial_that_fails_doubles_the_wait_for_the_next() -> None:
    ceiling = Ceiling(8)
    full_batches(ceiling, 4, 1)
    assert ceiling.limit == 4
    assert full_batches(ceiling, 4, 31 * PROOF + 5) == [5] * 5  # after 1, 2, 4, 8 and 16 proofs


def test_memory_that_comes_back_between_two_halves_is_used_again() -> None:
    ceiling = Ceiling(16)
    for size in (16, 8):
        ceiling.failed(size)
    for size in (4, 4, 8):
        ceiling.worked(size)
    assert ceiling.limit == 8
    assert full_batches(ceiling, 16, 9 * (PROOF + 1)) == []
    assert ceiling.limit == 16


def test_memory_that_comes_back_is_used_again() -> None:
    ceiling = Ceiling(8)
    full_batches(ceiling, 2, 3)
    assert ceiling.limit == 2
    assert full_batches(ceiling, 8, 7 * (PROOF + 1)) == []
    assert ceiling.limit == 8


@given(most=st.integers(1, 64), memory=st.lists(st.integers(1, 64), min_size=1, max_size=8))
def test_the_ceiling_stays_between_one_and_the_most(most, memory) -> None:
    ceiling = Ceiling(most)
    for allowed in memory:
        full_batches(ceiling, allowed, 3 * PROOF)
        assert 1 <= ceiling.limit <= most
        assert ceiling.limit <= allowed + 1


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def costs_of(clock: Clock | None = None, **seconds: float) -> Costs:
    costs = Costs(clock or Clock())
    for size, took in seconds.items():
        costs.learn(int(size.removeprefix("n")), took)
    return costs


def test_nothing_is_guessed_from_nothing() -> None:
    assert Costs().of(3) is None
    assert Costs().largest(as_long_as=1, times=2, most=16) == 16


@pytest.mark.parametrize(("size", "seconds"), [(1, 1.0), (2, 1.5), (3, 2.0), (6, 4.0)])
def test_a_size_that_was_not_measured_is_guessed(size, seconds) -> None:
    assert costs_of(n1=1.0, n3=2.0).of(size) == pytest.approx(seconds)


def test_an_engine_whose_time_is_in_proportion_gets_two_at_most() -> None:
    assert costs_of(n16=16.0).largest(as_long_as=1, times=2, most=16) == 2
    assert costs_of(n1=1.0, n16=16.0).largest(as_long_as=1, times=2, most=16) == 2
    assert costs_of(n1=1.0, n16=16.0).largest(as_long_as=3, times=1.25, most=16) == 3


def test_an_engine_whose_time_is_always_the_same_gets_full_batches() -> None:
    costs = costs_of(n1=1.0, n16=1.0)
    assert costs.largest(as_long_as=1, times=1.25, most=16) == 16
    assert costs.largest(as_long_as=1, times=2, most=8) == 8


def test_what_was_slow_once_is_forgotten() -> None:
    clock = Clock()
    costs = costs_of(clock, n1=1.0, n2=60.0)
    assert costs.largest(as_long_as=1, times=2, most=4) == 1
    clock.now = FORGOTTEN_S
    costs.learn(1, 1.0)
    assert costs.largest(as_long_as=1, times=2, most=4) == 2


def test_the_newest_measurement_counts_most_but_not_alone() -> None:
    costs = costs_of(n1=1.0)
    costs.learn(1, 2.0)
    assert costs.of(1) == pytest.approx(1.3)
    for _ in range(30):
        costs.learn(1, 2.0)
    assert costs.of(1) == pytest.approx(2.0, abs=0.01)
