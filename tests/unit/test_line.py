"""Who goes next: by rank, with those of the same group, and no group is passed over for ever."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from worker.line import TURN, Line

numbers = count()


@dataclass(frozen=True)
class One:
    group: int = 0
    alone: bool = False
    rank: float = 0.0
    hurried: bool = False
    number: int = field(default_factory=lambda: next(numbers))


def line_of(*waiting: One) -> Line[One]:
    line: Line[One] = Line()
    for one in waiting:
        line.add(one)
    return line


def sized(size: int) -> Callable[[int], int]:
    return lambda _: size


ONES = st.lists(
    st.builds(
        One,
        group=st.integers(0, 4),
        alone=st.booleans(),
        rank=st.sampled_from([0.0, 1.0, 2.0, 3.0]),
        hurried=st.booleans(),
    ),
    min_size=1,
    max_size=60,
)


def test_the_least_rank_goes_first_and_of_equal_ones_the_first_to_come() -> None:
    a, b, c, d = (One(rank=rank) for rank in (2.0, 1.0, 2.0, 0.0))
    line = line_of(a, b, c, d)
    assert line.take(most=sized(3)) == [d, b, a]
    assert line.take(most=sized(3)) == [c]


def test_those_in_a_hurry_go_first_and_say_how_many_go_along() -> None:
    bulk = [One(rank=5.0) for _ in range(4)]
    hurried = [One(rank=rank, hurried=True) for rank in (1.0, 9.0)]
    asked: list[int] = []

    def most(number: int) -> int:
        asked.append(number)
        return number + 1

    line = line_of(*bulk, *hurried)
    assert line.take(most=most) == [*hurried, bulk[0]]
    assert line.take(most=most) == [bulk[1]]
    assert asked == [2, 0]


@given(ones=ONES, size=st.integers(1, 9))
def test_everyone_goes_once_with_his_own_group_and_in_order_of_rank(ones, size) -> None:
    line = line_of(*ones)
    gone = []
    while len(line):
        batch = line.take(most=sized(size))
        assert 1 <= len(batch) <= size
        assert len({one.group for one in batch}) == 1
        assert len(batch) == 1 or not any(one.alone for one in batch)
        gone += batch
    assert Counter(gone) == Counter(ones)
    for kin in {(one.group, one.alone, one.hurried) for one in ones}:
        mine = [one for one in gone if (one.group, one.alone, one.hurried) == kin]
        assert mine == sorted(mine, key=lambda one: (one.rank, one.number))


@given(groups=st.integers(2, 9), size=st.integers(1, 4), rank=st.floats(-1e6, 1e6))
def test_a_group_of_the_worst_rank_waits_a_bounded_number_of_batches(groups, size, rank) -> None:
    last = One(group=0, rank=1e9)
    line, batches, gone = line_of(last), 0, False
    while not gone and batches < 1_000:
        for group in range(1, groups):  # more than can ever go
            for _ in range(size):
                line.add(One(group=group, rank=rank, hurried=True))
        batches += 1
        gone = last in line.take(most=sized(size))
    assert gone
    assert batches <= TURN * groups


def test_of_one_group_nothing_but_the_rank_counts() -> None:
    line = line_of(*(One(rank=float(n)) for n in range(40)))
    assert [line.take(most=sized(1))[0].rank for _ in range(40)] == list(range(40))
