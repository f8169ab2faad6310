"""On a GPU: BLIP's graphs answer as `generate` does on the CPU. `make test-gpu` runs them.

They need torch, transformers, numpy, pillow and pytest alone.
"""

from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pytest
import torch
from transformers import BlipForConditionalGeneration

from benchmarks.gpu_work import SCENES, Generate, Lane
from scripts.scenes import draw, stream
from worker.engines.blip_cuda import AT_ONCE, ROWS

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
EXACT = torch.float32
PLAIN = {"longest": 20, "shortest": 0}
MANY = AT_ONCE + 30


def model(device: torch.device, dtype: torch.dtype = EXACT):
    made = BlipForConditionalGeneration.from_pretrained(SCENES, dtype=dtype)
    return made.to(device).eval()


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    shown = islice(stream("tests/gpu"), 2_000)
    return [np.array(draw(scene, width=96, height=96)) for scene in shown]


@pytest.fixture(scope="module")
def right(pictures) -> list[list[int]]:
    slow = Generate(model(CPU), device=CPU, dtype=EXACT)
    return [trimmed(row) for row in slow.caption(pictures[:MANY], **PLAIN)]


def trimmed(row: list[int]) -> list[int]:
    """`generate` fills shorter captions up with 0."""
    return [token for token in row if token]


def written(lane: Lane, pictures: list, **bounds: int) -> list[list[int]]:
    return [row.tokens for row in lane.caption(pictures, **(PLAIN | bounds))]


def test_batches_of_changing_sizes_equal_generate_token_for_token(pictures, right) -> None:
    lane = Lane(model(GPU), device=GPU, dtype=EXACT)
    lane.network.warm_up()
    for size in (1, 3, ROWS + 1, 5, MANY, 2, MANY):
        assert written(lane, pictures[:size]) == right[:size]


def test_captions_longer_than_the_first_room_change_nothing_after_them(pictures, right) -> None:
    lane = Lane(model(GPU), device=GPU, dtype=EXACT)
    long = Generate(model(CPU), device=CPU, dtype=EXACT).caption(
        pictures[:4], longest=100, shortest=100
    )
    assert written(lane, pictures[:4], longest=100, shortest=100) == [row[:101] for row in long]
    assert written(lane, pictures[:4]) == right[:4]


def test_two_lanes_on_the_same_weights_do_not_disturb_each_other(pictures, right) -> None:
    shared = model(GPU)
    lanes = [Lane(shared, device=GPU, dtype=EXACT) for _ in range(2)]

    def work(lane: Lane) -> list[list[list[int]]]:
        return [written(lane, pictures[:size]) for size in (40, 3, 40, 17) * 5]

    with ThreadPoolExecutor(2) as pool:  # graphs are recorded while the other lane works
        for found in pool.map(work, lanes):
            assert all(rows == right[: len(rows)] for rows in found)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_a_faster_number_format_loses_at_most_half_a_point_of_exact_captions(
    dtype, pictures
) -> None:
    found = {}
    for each in (EXACT, dtype):
        lane = Lane(model(GPU, each), device=GPU, dtype=each)
        found[each] = [
            row for n in range(0, 2_000, 100) for row in written(lane, pictures[n : n + 100])
        ]
    differ = sum(a != b for a, b in zip(found[EXACT], found[dtype], strict=True))
    assert differ <= 0.005 * len(pictures)
