"""Rows 21, 22, 23 and 25 of the fault matrix: what pictures do to engine and decoder."""

import time

import psutil

from captioner import errors
from tests.faults.crew import Crew, faultless, forms
from tests.faults.drawn import Order
from tests.faults.stand import standing
from tests.unit.decoding import SIZE, child_pid, picture, pool, result

BATCH = 64


@forms("batches", 3, 50)
def test_pictures_at_fault_fail_and_no_others(batches, tmp_path, tell) -> None:
    """Rows 21 and 22: in every job one that raises, one without a caption, and one that is too much
    for the memory of the engine in any batch of more than four."""
    wanted = [Order.RAISE, Order.EMPTY, Order.OUT_OF_MEMORY, *[Order.NONE] * (BATCH - 3)]
    with standing(tmp_path, broker="redis", workers=1) as stand:
        crew = Crew(stand)
        for _ in range(batches):
            crew.post(*wanted)
        seconds = crew.settle(timeout_s=60 + 10 * batches)
        verdict = crew.verdict()
        tell([crew.row("pictures that raise, or fill the memory", 3 * batches, seconds, verdict)])
        assert stand.fleet.surprises() == []
    assert faultless(verdict)


@forms("poison", 5, 100)
def test_pictures_that_crash_the_decoder_fail_alone(poison) -> None:
    """Row 23: one of twenty; the others are decoded, by the same pool in the same process."""
    count, started = 20 * poison, time.monotonic()
    with pool() as running:
        futures = [
            running.submit(b"crash" if n % 20 == 7 else picture(n), size=SIZE) for n in range(count)
        ]
        bad = [n for n, future in enumerate(futures) if future.exception(60) is not None]
        kinds = {type(futures[n].exception()) for n in bad}
        assert result(running.submit(picture(), size=SIZE)).pixels.shape == (*SIZE, 3)
    print(f"\n{len(bad)} of {count} failed in {time.monotonic() - started:.1f} s")
    assert bad == list(range(7, count, 20))
    assert kinds == {errors.ImageUndecodable}


@forms("poison", 3, 20)
def test_pictures_that_eat_or_hang_are_stopped(poison) -> None:
    """Row 25: within ten seconds each, and nothing of it is left in this process."""
    slowest = 0.0
    with pool(processes=1, timeout_s=2) as running:
        child_pid(running)
        before = psutil.Process().memory_info().rss
        for data in (b"eat", b"hang") * poison:
            started = time.monotonic()
            error = running.submit(data, size=SIZE).exception(30)
            slowest = max(slowest, time.monotonic() - started)
            assert isinstance(error, errors.ImageUndecodable)
        grown = psutil.Process().memory_info().rss - before
    print(f"\nslowest of {2 * poison}: {slowest:.1f} s, RSS grown by {grown / 2**20:.1f} MiB")
    assert slowest <= 10
    assert grown < 16 * 2**20
