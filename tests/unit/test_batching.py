"""The batcher's promises: every future resolves, the guilty fail alone, batches fill under load."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captioner.errors import ShuttingDown
from worker.batching import Batcher, Done
from worker.watchdog import watch


class Recorder:
    """A run function that doubles numbers, notes its batches, and can be held at a gate."""

    def __init__(self, fault: Callable[[list[int]], None] = lambda batch: None) -> None:
        self.batches: list[tuple[object, list[int]]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self._fault = fault

    def __call__(self, group: object, items: list[int]) -> Sequence[int]:
        self.batches.append((group, list(items)))
        self.entered.set()
        self.gate.wait(10)
        self._fault(items)
        return [2 * item for item in items]


def results(futures: Sequence[Future[Done[int]]]) -> list[int]:
    return [future.result(10).result for future in futures]


def busy(run: Recorder, batcher: Batcher[int, int]) -> Future[Done[int]]:
    """Occupy the batcher with one item until the gate opens."""
    run.gate.clear()
    future = batcher.submit(-1)
    assert run.entered.wait(10)
    return future


def test_an_idle_batcher_runs_one_item_at_once() -> None:
    run = Recorder()
    batcher = Batcher(run, max_batch=8)
    assert batcher.submit(3).result(10).batch_size == 1
    batcher.close()


def test_a_busy_batcher_fills_its_batches_in_order() -> None:
    run = Recorder()
    batcher = Batcher(run, max_batch=4)
    first = busy(run, batcher)
    futures = [batcher.submit(n) for n in range(10)]
    run.gate.set()
    assert results([first, *futures]) == [-2, *range(0, 20, 2)]
    assert [items for _, items in run.batches] == [[-1], [0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    batcher.close()


def test_items_of_different_groups_never_share_a_batch() -> None:
    run = Recorder()
    batcher = Batcher(run, max_batch=8)
    busy(run, batcher)
    futures = [batcher.submit(n, group=n % 2) for n in range(6)]
    run.gate.set()
    results(futures)
    assert run.batches[1:] == [(0, [0, 2, 4]), (1, [1, 3, 5])]
    batcher.close()


def test_an_item_submitted_alone_shares_with_nobody() -> None:
    run = Recorder()
    batcher = Batcher(run, max_batch=8)
    busy(run, batcher)
    futures = [batcher.submit(n, alone=n == 1) for n in range(3)]
    run.gate.set()
    results(futures)
    assert [items for _, items in run.batches[1:]] == [[0, 2], [1]]
    batcher.close()


def test_the_item_that_raises_fails_alone() -> None:
    def fault(items: list[int]) -> None:
        if 2 in items:
            raise ValueError("two")

    run = Recorder(fault)
    batcher = Batcher(run, max_batch=8)
    busy(run, batcher)
    futures = [batcher.submit(n) for n in range(4)]
    run.gate.set()
    with pytest.raises(ValueError, match="two"):
        futures.pop(2).result(10)
    assert results(futures) == [0, 2, 6]
    batcher.close()


def test_out_of_memory_halves_the_batch_and_is_remembered() -> None:
    def fault(items: list[int]) -> None:
        if len(items) > 2:
            raise MemoryError

    run = Recorder(fault)
    batcher = Batcher(run, max_batch=8)
    busy(run, batcher)
    futures = [batcher.submit(n) for n in range(16)]
    run.gate.set()
    assert results(futures) == list(range(0, 32, 2))
    assert batcher.limit == 2
    assert sum(len(items) > 2 for _, items in run.batches) == 3  # one of 8, then two of 4
    batcher.close()


def test_a_run_that_loses_an_item_is_caught() -> None:
    batcher = Batcher(lambda group, items: items[1:], max_batch=4)
    with pytest.raises(RuntimeError, match="1 items went in, 0 results came out"):
        batcher.submit(1).result(10)
    batcher.close()


def test_even_an_exit_in_the_run_resolves_the_future() -> None:
    def leave(group: object, items: list[int]) -> list[int]:
        raise SystemExit(1)

    batcher = Batcher(leave, max_batch=4)
    with pytest.raises(SystemExit):
        batcher.submit(1).result(10)
    with pytest.raises(SystemExit):
        batcher.submit(1).result(10)  # the thread lives on
    batcher.close()


def test_closing_ends_the_running_batch_and_refuses_the_rest() -> None:
    run = Recorder()
    batcher = Batcher(run, max_batch=1)
    first = busy(run, batcher)
    waiting = [batcher.submit(n) for n in range(3)]
    closing = threading.Thread(target=batcher.close)
    closing.start()
    time.sleep(0.05)
    run.gate.set()
    closing.join(10)
    assert first.result(0).result == -2
    for future in [*waiting, batcher.submit(9)]:
        with pytest.raises(ShuttingDown):
            future.result(0)


def test_a_cancelled_item_is_not_run() -> None:
    run = Recorder()
    batcher = Batcher(run, max_batch=8)
    busy(run, batcher)
    dropped, kept = batcher.submit(1), batcher.submit(2)
    assert dropped.cancel()
    run.gate.set()
    assert kept.result(10).result == 4
    assert run.batches[1:] == [(None, [2])]
    batcher.close()


@settings(max_examples=50, deadline=None)
@given(
    items=st.lists(st.tuples(st.integers(0, 99), st.integers(0, 2), st.booleans()), max_size=60),
    max_batch=st.integers(1, 9),
    guilty=st.sets(st.integers(0, 99), max_size=5),
    memory=st.integers(1, 9),
)
def test_whatever_comes_each_item_gets_its_own_answer(items, max_batch, guilty, memory) -> None:
    def fault(batch: list[int]) -> None:
        if len(batch) > memory:
            raise MemoryError
        if guilty.intersection(batch):
            raise ValueError(batch)

    run = Recorder(fault)
    batcher = Batcher(run, max_batch=max_batch)
    futures = [batcher.submit(n, group=group, alone=alone) for n, group, alone in items]
    _, undone = wait(futures, timeout=20)
    assert not undone
    for (number, _, _), future in zip(items, futures, strict=True):
        if number in guilty:
            assert isinstance(future.exception(), ValueError)
        else:
            assert future.result().result == 2 * number
    assert all(len(batch) <= max_batch for _, batch in run.batches)
    batcher.close()


def test_a_batch_that_hangs_is_seen_by_the_watchdog() -> None:
    run = Recorder()
    batcher = Batcher(run, max_batch=4)
    assert batcher.running_s == 0
    future = busy(run, batcher)
    assert batcher.running_s > 0
    ended: list[int] = []
    watch(lambda: batcher.running_s, hang_s=60, end=ended.append)
    assert ended == []
    watch(lambda: batcher.running_s, hang_s=0, end=ended.append)
    assert ended == [70]
    run.gate.set()
    future.result(10)
    batcher.close()
    assert batcher.running_s == 0


class Linear:
    """An engine that takes so long for each item: batches gain it nothing. The worst there is."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.ran: list[int] = []

    def __call__(self, group: object, items: list[int]) -> Sequence[int]:
        time.sleep(self._seconds * len(items))
        self.ran += items
        return items


def test_the_item_of_the_least_rank_goes_next() -> None:
    run = Recorder()
    batcher = Batcher(run, max_batch=2)
    first = busy(run, batcher)
    futures = [batcher.submit(n, rank=-n) for n in range(4)]
    run.gate.set()
    results([first, *futures])
    assert [items for _, items in run.batches[1:]] == [[3, 2], [1, 0]]
    batcher.close()


def test_beside_a_long_line_one_in_a_hurry_waits_for_few_others_even_at_the_worst_engine() -> None:
    run = Linear(0.02)  # so long that a busy machine hardly adds to it
    batcher = Batcher(run, max_batch=16)
    single, ahead = 10_000, []
    line = [batcher.submit(n, rank=float(n)) for n in range(400)]
    for n in range(12):
        before = len(run.ran)
        batcher.submit(single + n, rank=-1.0, hurried=True).result(10)
        ahead.append(len(run.ran) - before - 1)
    print(f"items that ran before each single: {ahead}")
    assert sorted(ahead)[len(ahead) // 2] <= 2  # those of the batch that ran
    assert max(ahead[2:]) <= 4  # once the batcher knows how long its batches take
    assert not all(future.done() for future in line)
    for future in line:
        future.cancel()
    batcher.close()


def test_where_time_is_always_the_same_the_hurried_take_others_along() -> None:
    def run(group: object, items: list[int]) -> Sequence[int]:
        time.sleep(0.02)
        return items

    batcher = Batcher(run, max_batch=8)
    line = [batcher.submit(n, rank=float(n)) for n in range(80)]
    batcher.submit(-1, rank=-1.0, hurried=True).result(10)
    sizes = [batcher.submit(-1, rank=-1.0, hurried=True).result(10).batch_size for _ in range(4)]
    print(f"batches with a single in them: {sizes}")
    assert max(sizes) == 8
    for future in line:
        future.cancel()
    batcher.close()
