"""On a GPU: the engine that a worker builds answers as the one on a CPU. `make test-gpu` runs this.

Unlike the other tests here it needs what a worker needs.
"""

from itertools import islice

import numpy as np
import pytest
import torch

pytest.importorskip("pydantic_settings")

from benchmarks.gpu_work import SCENES
from captioner.options import PLAIN, Options
from scripts.scenes import draw, stream
from worker.engines import blip
from worker.engines.device import Placement
from worker.engines.loading import warm_up
from worker.engines.protocol import Engine
from worker.engines.weights import fetch

BATCH = 40
OPTIONS = [
    PLAIN,
    Options(prompt="a picture of"),
    Options(min_new_tokens=70, max_new_tokens=100),
    Options(temperature=1.5, seed=4, num_captions=3),
    Options(num_beams=3),
]


def built(device: str, library: str) -> Engine:
    placement = Placement(torch.device(device), torch.float32, "a test", library)
    weights = fetch(str(SCENES), revision="main")
    return blip.build(weights, placement=placement, max_new_tokens=20)


@pytest.fixture(scope="module")
def on_gpu() -> Engine:
    engine = built("cuda:0", "torch")
    warm_up(engine, batch=BATCH)
    return engine


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    shown = islice(stream("tests/gpu"), BATCH)
    return [np.array(draw(scene, width=96, height=96)) for scene in shown]


@pytest.mark.parametrize("options", OPTIONS, ids=repr)
def test_every_option_does_what_it_does_on_a_cpu(on_gpu, pictures, options) -> None:
    expected = [answer.text for answer in built("cpu", "reference").caption(pictures, options)]
    for size in (1, 3, BATCH):
        answers = on_gpu.caption(pictures[:size], options)
        assert [answer.text for answer in answers] == expected[:size]


def test_a_batch_that_is_too_large_for_memory_is_a_memory_error(on_gpu, pictures) -> None:
    expected = [answer.text for answer in on_gpu.caption(pictures)]
    with pytest.raises(MemoryError):
        on_gpu.prepare(2**24)
    assert [answer.text for answer in on_gpu.caption(pictures)] == expected
