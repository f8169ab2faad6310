"""Pictures are decoded in light children, each caller gets its own, and nothing is left behind."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from captioner import errors
from captioner.images import Resampling, Within
from tests.unit.decoding import (
    LIMITS,
    ROOT,
    SIZE,
    asked_together,
    children,
    picture,
    pool,
    result,
    segments,
)
from worker.decode_child import decode_and_fit
from worker.decode_lane import SMALL_BYTES

HEAVY = ("torch", "transformers", "celery", "kombu", "flask", "sqlalchemy", "pydantic")


@pytest.fixture(scope="module")
def shared():
    with pool() as running:
        yield running


def test_pixels_are_those_of_a_decode_at_home(shared):
    data = picture(1)
    decoded = result(shared.submit(data, size=SIZE))
    assert decoded.pixels.dtype == np.uint8
    assert np.array_equal(decoded.pixels, decode_and_fit(data, SIZE, LIMITS))
    assert 0 < decoded.decode_ms < 5000


def test_a_picture_is_resized_with_the_filter_that_is_asked_for(shared):
    data = picture(1)
    made = {
        filter_: result(shared.submit(data, size=SIZE, resampling=filter_)).pixels
        for filter_ in (Resampling.BICUBIC, Resampling.BILINEAR)
    }
    for filter_, pixels in made.items():
        assert np.array_equal(pixels, decode_and_fit(data, SIZE, LIMITS, filter_))
    assert not np.array_equal(*made.values())


def test_small_pictures_that_wait_are_asked_for_together_and_large_ones_are_not():
    with pool(processes=1, work=asked_together) as running:
        first = running.submit(b"pause" + bytes(SMALL_BYTES), size=SIZE)
        small = [running.submit(b"small", size=SIZE) for _ in range(8)]
        large = [running.submit(bytes(SMALL_BYTES + 1), size=SIZE) for _ in range(2)]
        again = [running.submit(b"small", size=size) for size in (SIZE, (8, 8))]
        assert not result(first).pixels.any()
        assert sum(result(future).pixels.any() for future in small) >= 6
        assert not any(result(future).pixels.any() for future in large)
        assert not any(result(future).pixels.any() for future in again), "of different sizes"


def test_a_picture_may_keep_its_shape(shared):
    wide, small = picture(1, width=300, height=100), picture(2, width=30, height=20)
    tall = picture(3, width=100, height=300)
    for data, shape in ((wide, (20, 60, 3)), (small, (20, 30, 3)), (tall, (60, 20, 3))):
        pixels = result(shared.submit(data, size=Within(60, 60))).pixels
        assert pixels.shape == shape
        assert np.array_equal(pixels, decode_and_fit(data, shape[:2], LIMITS))


def test_pixels_are_the_callers_own(shared):
    first = result(shared.submit(picture(1), size=SIZE)).pixels
    copy = first.copy()
    for seed in range(8):
        result(shared.submit(picture(seed), size=SIZE))
    assert np.array_equal(first, copy)
    first[:] = 0
    assert first.flags.owndata


def test_sizes_may_grow_and_shrink(shared):
    for size in ((8, 8), (400, 300), (3, 500), (8, 8), (700, 700)):
        futures = [shared.submit(picture(seed), size=size) for seed in range(3)]
        for seed, future in enumerate(futures):
            expected = decode_and_fit(picture(seed), size, LIMITS)
            assert np.array_equal(result(future).pixels, expected)


def test_more_pictures_than_slots_do_not_block(shared):
    futures = [shared.submit(picture(seed % 7), size=SIZE) for seed in range(200)]
    expected = [decode_and_fit(picture(seed), SIZE, LIMITS) for seed in range(7)]
    for seed, future in enumerate(futures):
        assert np.array_equal(result(future).pixels, expected[seed % 7])


def test_callers_in_many_threads_get_their_own_pixels(shared):
    wrong = []

    def call(seed: int) -> None:
        for _ in range(5):
            got = result(shared.submit(picture(seed), size=SIZE)).pixels
            if not np.array_equal(got, decode_and_fit(picture(seed), SIZE, LIMITS)):
                wrong.append(seed)

    threads = [threading.Thread(target=call, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", errors.ImageEmpty),
        (b"no picture at all", errors.UnsupportedImageFormat),
        (picture()[:-200], errors.ImageTruncated),
        (picture(width=4), errors.ImageTooSmall),
    ],
)
def test_a_refused_picture_raises_its_own_error(shared, data, error):
    with pytest.raises(error) as caught:
        result(shared.submit(data, size=SIZE))
    assert caught.value.detail.endswith(".")


def test_an_error_keeps_what_it_carries(shared):
    with pytest.raises(errors.ImageTooSmall) as caught:
        result(shared.submit(b"refuse", size=SIZE))
    assert (caught.value.detail, caught.value.extra) == ("The picture is too small.", {"side": 3})


def test_children_hold_no_heavy_module_whatever_started_them(tmp_path):
    script = tmp_path / "main.py"  # unguarded, and heavy: children must not run it
    script.write_text(
        "import sys, celery, flask, sqlalchemy, pydantic\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.unit import decoding as t\n"
        "with t.DecodePool(limits=t.LIMITS, processes=1, timeout_s=9, memory_bytes=2**30) as p:\n"
        "    print(p.submit(t.picture(), size=t.SIZE).result().pixels.shape)\n"
        "    (pid,) = t.children()\n"
        "    print(open(f'/proc/{pid}/maps').read())\n"
    )
    ran = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("(24, 32, 3)")
    assert "/PIL/" in ran.stdout
    for library in ("/pydantic_core/", "/sqlalchemy/", "/torch/"):
        assert library not in ran.stdout


def test_the_childs_own_code_imports_nothing_heavy():
    code = (
        "import sys, worker.decode_child, worker.decode_pool\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


def test_close_leaves_neither_child_nor_shared_memory_nor_thread():
    before = (children(), segments(os.getpid()), threading.active_count())
    running = pool()
    running.start()
    result(running.submit(picture(), size=SIZE))
    assert len(children() - before[0]) == 2
    assert segments(os.getpid()) - before[1]
    with pytest.raises(errors.ImageUndecodable):
        result(running.submit(b"crash", size=SIZE))
    running.close()
    running.close()
    assert (children(), segments(os.getpid()), threading.active_count()) == before


def test_close_is_prompt_and_fails_what_is_under_way():
    running = pool(processes=1, timeout_s=60)
    running.start()
    futures = [running.submit(data, size=SIZE) for data in (b"hang in C", picture(), picture())]
    while not futures[0].running():
        time.sleep(0.01)
    started = time.monotonic()
    running.close()
    assert time.monotonic() - started < 2
    for future in futures:
        with pytest.raises(errors.ShuttingDown):
            future.result(0)
    with pytest.raises(errors.ShuttingDown):
        running.submit(picture(), size=SIZE)


def test_a_cancelled_picture_is_skipped():
    with pool(processes=1, timeout_s=0.5) as running:
        hanging = running.submit(b"hang", size=SIZE)
        cancelled = running.submit(b"crash", size=SIZE)
        assert cancelled.cancel()
        last = running.submit(picture(), size=SIZE)
        assert result(last).pixels.shape == (*SIZE, 3)
        assert isinstance(hanging.exception(0), errors.ImageUndecodable)
