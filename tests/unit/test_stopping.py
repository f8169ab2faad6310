"""The engine stops single captions of a batch at a token, and the others do not notice."""

import time
from collections.abc import Callable

import numpy as np
import pytest
import torch

from captioner.catalog import SCENES_FOLDER
from captioner.images import fit
from captioner.options import Options
from scripts.scenes import draw
from tests.endless import TOKENS, endless
from tests.pictures import scenes
from worker.engines import blip_reference
from worker.engines.device import Placement

CPU = Placement(torch.device("cpu"), torch.float32, "a test")
COUNT = 16


@pytest.fixture(scope="module")
def engine() -> blip_reference.BlipEngine:
    return blip_reference.load(
        str(SCENES_FOLDER), revision="main", placement=CPU, max_new_tokens=20
    )


@pytest.fixture(scope="module")
def pixels(engine) -> list[np.ndarray]:
    drawn = [draw(scene, width=320, height=240) for scene in scenes(COUNT, seed=6)]
    return [fit(picture, engine.image_size) for picture in drawn]


def from_token(first: int, rows: set[int]) -> Callable[[], list[bool]]:
    """Says that these rows are stopped, from that question on."""
    asked = 0

    def stopped() -> list[bool]:
        nonlocal asked
        asked += 1
        return [asked >= first and row in rows for row in range(COUNT)]

    return stopped


@pytest.mark.parametrize("prompt", [None, "a"])
@pytest.mark.parametrize("first", [1, 2, 4])
def test_the_captions_beside_a_stopped_one_keep_every_token(engine, pixels, first, prompt) -> None:
    undisturbed = engine.caption(pixels, Options(prompt=prompt))
    rows = {0, 3, 4, 15}
    assert all(len(undisturbed[row].tokens) > first + 1 for row in rows)
    answers = engine.caption(pixels, Options(prompt=prompt), stopped=from_token(first, rows))
    assert [n for n, answer in enumerate(answers) if answer is None] == sorted(rows)
    kept = [n for n in range(COUNT) if n not in rows]
    assert [answers[n].tokens for n in kept] == [undisturbed[n].tokens for n in kept]


def test_a_caption_that_had_come_to_its_end_is_kept(engine, pixels) -> None:
    undisturbed = engine.caption(pixels)
    shortest = min(range(COUNT), key=lambda row: len(undisturbed[row].tokens))
    others = set(range(COUNT)) - {shortest}
    long_after = len(undisturbed[shortest].tokens) + 1
    assert any(len(undisturbed[row].tokens) > long_after for row in others)
    answers = engine.caption(pixels, stopped=from_token(long_after, {shortest}))
    assert [answer.tokens for answer in answers] == [each.tokens for each in undisturbed]


def test_a_batch_that_is_stopped_as_a_whole_ends_at_the_next_token(tmp_path, pixels) -> None:
    slow = blip_reference.load(
        str(endless(tmp_path / "endless", layers=2)),
        revision="main",
        placement=CPU,
        max_new_tokens=TOKENS,
    )
    asked: list[float] = []

    def stopped() -> list[bool]:
        asked.append(time.monotonic())
        return [len(asked) >= 5] * 2

    assert slow.caption(pixels[:2], stopped=stopped) == [None, None]
    ended = time.monotonic()
    assert len(asked) == 5  # of 480 tokens
    print(f"from the stop to the end: {1e3 * (ended - asked[-1]):.1f} ms")
