"""One caption of several pictures by a vLLM server: each goes along in its own shape."""

import numpy as np

from captioner.errors import CaptionFailed
from captioner.options import Options
from tests.unit.test_vllm import engine as engine
from tests.unit.test_vllm import pixels
from tests.unit.test_vllm import server as server
from tests.vllm_server import Trouble, VllmServer
from worker.engines.prompts import prompt_for
from worker.engines.protocol import Caption
from worker.engines.vllm import VllmEngine


def row(*pictures: np.ndarray) -> np.ndarray:
    """Pictures of one caption, each in its own shape, as the worker gathers them."""
    one = np.empty(len(pictures), dtype=object)
    for place, picture in enumerate(pictures):
        one[place] = picture
    return one


def test_pictures_of_one_caption_go_along_in_order_each_in_its_shape(
    server: VllmServer, engine: VllmEngine
) -> None:
    rng = np.random.default_rng(6)
    shown = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((9, 7), (9, 7), (30, 8))]
    (answer,) = engine.caption([row(*shown)], Options(collective=3))
    assert isinstance(answer, Caption)
    assert answer.text.count("picture") == 3
    assert len(server.pictures) == 3
    for sent, one in zip(server.pictures, shown, strict=True):
        assert np.array_equal(np.array(sent), one)
    asked = server.chats[0]["messages"][1]["content"][-1]
    assert asked == {"type": "text", "text": prompt_for(Options(collective=3)).user}


def test_a_collection_that_is_refused_fails_alone(server: VllmServer, engine: VllmEngine) -> None:
    server.troubles["red"] = Trouble(400, "too many tokens")
    bad, good = row(pixels("green"), pixels("red")), row(pixels("green"), pixels("blue"))
    failed, answer = engine.caption([bad, good], Options(collective=2))
    assert isinstance(failed, CaptionFailed)
    assert isinstance(answer, Caption)
    assert answer.text == "A green picture, 64 by 48. A blue picture, 64 by 48."
