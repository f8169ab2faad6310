"""The fast ways to run BLIP answer as the slow one does, which answers as transformers."""

import subprocess
import sys
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch

from captioner.catalog import SCENES_FOLDER
from captioner.images import fit
from captioner.options import PLAIN, Options
from scripts.scenes import draw
from tests.pictures import scenes
from worker.engines import blip_reference
from worker.engines.blip import FastBlipEngine, TorchNetwork
from worker.engines.blip_openvino import OpenVinoNetwork
from worker.engines.device import Placement

CPU = Placement(torch.device("cpu"), torch.float32, "a test")
COUNT = 2_000
MOST_LOST = 0.005
"""Of exact captions, by a faster number format."""


@pytest.fixture(scope="module")
def slow() -> blip_reference.BlipEngine:
    return blip_reference.load(
        str(SCENES_FOLDER), revision="main", placement=CPU, max_new_tokens=20
    )


NETWORKS: dict[str, Callable] = {
    "torch": lambda model: TorchNetwork(model, device=CPU.device, dtype=CPU.dtype),
    "openvino": lambda model: OpenVinoNetwork(model, dtype=torch.float32),
}


@pytest.fixture(scope="module", params=NETWORKS)
def fast(request, slow) -> FastBlipEngine:
    return FastBlipEngine(slow, NETWORKS[request.param](slow.model))


def test_openvino_reports_nothing_to_its_makers() -> None:
    used = "from openvino.tools.ovc import convert_impl as c, telemetry_utils as t; import sys;"
    said = subprocess.run(
        [sys.executable, "-c",
         f"import worker.engines.blip_openvino; {used} print(c.tm.__name__, t.tm.__name__);"
         "assert not sys.modules['openvino_telemetry']"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert said.split() == ["openvino.tools.ovc.telemetry_stub"] * 2


@pytest.fixture(scope="module")
def pixels(slow) -> list[np.ndarray]:
    drawn = (draw(scene, width=160, height=120) for scene in scenes(200, seed=8))
    return [fit(picture, slow.image_size) for picture in drawn]


def tokens(engine, pixels: list, options: Options = PLAIN, *, batch: int = 16) -> list[tuple]:
    answers = []
    for start in range(0, len(pixels), batch):
        answers += engine.caption(pixels[start : start + batch], options)
    return [(answer.tokens, *(other.tokens for other in answer.others)) for answer in answers]


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_batches_of_any_size_equal_the_reference_token_for_token(fast, slow, pixels, batch) -> None:
    some = pixels[: 24 if batch == 1 else 200]
    assert tokens(fast, some, batch=batch) == tokens(slow, some)


@pytest.mark.parametrize(
    "options",
    [
        Options(prompt="a"),
        Options(prompt="a picture of"),
        Options(max_new_tokens=3),
        Options(min_new_tokens=24, max_new_tokens=40),  # past 16 tokens attention is another kernel
        Options(temperature=1.5, seed=4),
        Options(temperature=1.5, seed=4, num_captions=3),
        Options(num_beams=3, num_captions=2),
        Options(min_new_tokens=24, max_new_tokens=40, no_repeat_ngram=2),
        Options(min_new_tokens=24, max_new_tokens=40, no_repeat_ngram=3, prompt="a red"),
        Options(temperature=2.0, seed=4, no_repeat_ngram=2),
    ],
    ids=repr,
)
def test_every_option_does_what_it_does_in_the_reference(fast, slow, pixels, options) -> None:
    assert tokens(fast, pixels[:32], options) == tokens(slow, pixels[:32], options)


def test_scores_equal_those_of_the_reference(fast, slow, pixels) -> None:
    ours = [answer.score for answer in fast.caption(pixels[:16])]
    theirs = [answer.score for answer in slow.caption(pixels[:16])]
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_a_drawn_caption_is_the_same_alone_and_in_a_batch(fast, pixels) -> None:
    options = Options(temperature=2.0, seed=11)
    together = tokens(fast, pixels[:8], options)
    assert together == tokens(fast, pixels[:8], options, batch=1)
    assert together != tokens(fast, pixels[:8], Options(temperature=2.0, seed=12))


def test_the_captions_beside_a_stopped_one_keep_every_token(fast, slow, pixels) -> None:
    asked = 0

    def stopped() -> list[bool]:
        nonlocal asked
        asked += 1
        return [False, asked > 1, False, False]

    answers = fast.caption(pixels[:4], stopped=stopped)
    assert answers[1] is None
    kept = [answer.tokens for answer in answers if answer]
    assert kept == [slow.caption([pixels[n]])[0].tokens for n in (0, 2, 3)]


@pytest.fixture(scope="module")
def exact(slow) -> Callable[[torch.dtype], int]:
    """How many of the same scenes have their one right caption, in a number format."""
    drawn = scenes(COUNT, seed=9)
    pixels = [fit(draw(scene, width=96, height=96), slow.image_size) for scene in drawn]

    @cache
    def of(dtype: torch.dtype) -> int:
        engine = FastBlipEngine(slow, OpenVinoNetwork(slow.model, dtype=dtype))
        captions = []
        for start in range(0, COUNT, 16):
            captions += [answer.text for answer in engine.caption(pixels[start : start + 16])]
        return sum(caption == scene.caption for caption, scene in zip(captions, drawn, strict=True))

    return of


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int8])
def test_a_faster_number_format_loses_at_most_half_a_point_of_exact_captions(exact, dtype) -> None:
    print(f"exact of {COUNT}: {dtype} {exact(dtype)}, float32 {exact(torch.float32)}")
    assert exact(dtype) >= exact(torch.float32) - MOST_LOST * COUNT
