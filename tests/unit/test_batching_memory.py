"""What a batch held that failed is free before its items run again."""

import threading
import traceback
import weakref
from collections.abc import Sequence
from concurrent.futures import wait

import pytest

from worker.batching import Batcher


class Tensors:
    """What a run holds while it runs; `alive` are those that somebody still holds."""

    alive: "weakref.WeakSet[Tensors]"

    def __init__(self) -> None:
        self.alive.add(self)


@pytest.fixture
def tensors() -> type[Tensors]:
    Tensors.alive = weakref.WeakSet()
    return Tensors


def out_of_memory() -> None:
    try:
        raise RuntimeError("the allocator's own words")
    except RuntimeError as error:
        raise MemoryError from error


@pytest.mark.parametrize("fault", [out_of_memory, lambda: 1 / 0], ids=["memory", "another"])
def test_what_a_failed_batch_held_is_free_before_others_run(tensors, fault) -> None:
    held: list[int] = []

    def run(group: object, items: list[int]) -> Sequence[int]:
        held.append(len(tensors.alive))
        pixels = tensors()
        if len(items) > 1 or items[0] == 2:
            fault()
        del pixels
        return items

    gate = threading.Event()
    batcher = Batcher(lambda group, items: gate.wait(10) and run(group, items), max_batch=4)
    futures = [batcher.submit(n, group=n < 0) for n in (-1, 0, 1, 2, 3)]
    gate.set()
    wait(futures, timeout=10)
    assert held[0] == 0
    assert len(held) > 4  # a whole batch, its parts, and each item
    assert held == [0] * len(held)
    left = [future for future in futures if not future.exception()]
    assert [future.result().result for future in left] == [-1, 0, 1, 3]
    batcher.close()


def test_an_error_still_says_where_it_was_raised() -> None:
    batcher = Batcher(lambda group, items: [1 / 0 for _ in items], max_batch=4)
    error = batcher.submit(1).exception(10)
    assert "1 / 0" in "".join(traceback.format_exception(error))
    batcher.close()
