"""What the tests of several engines ask with: pictures, stops, and a network that listens."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from captioner.images import fit
from scripts.scenes import draw
from tests.pictures import scenes
from worker.engines.device import Placement
from worker.engines.protocol import Engine

CPU = Placement(torch.device("cpu"), torch.float32, "a test")
COUNT = 8


def photographs() -> list[Image.Image]:
    """Pictures of a camera's shape, which none of the networks takes as it is."""
    return [draw(scene, width=320, height=240) for scene in scenes(COUNT, seed=7)]


def fitted(pictures: list[Image.Image], engine: Engine) -> list[np.ndarray]:
    """As the decode children make them."""
    return [fit(picture, engine.image_size, engine.resampling) for picture in pictures]


def in_batches(engine: Engine, pixels: list[np.ndarray], size: int, *options: Any) -> list[Any]:
    answers: list[Any] = []
    for start in range(0, len(pixels), size):
        answers += engine.caption(pixels[start : start + size], *options)
    return answers


def from_token(first: int, rows: set[int], *, of: int) -> Callable[[], list[bool]]:
    """Says that these rows are stopped, from that question on."""
    asked = 0

    def stopped() -> list[bool]:
        nonlocal asked
        asked += 1
        return [asked >= first and row in rows for row in range(of)]

    return stopped


class Listening:
    """A network that answers as the real one, and keeps what it was asked."""

    def __init__(self, network: Any) -> None:
        self._network = network
        self.asked: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def generate(self, **inputs: Any) -> Any:
        self.asked.append(inputs)
        return self._network.generate(**inputs)


def without(folder: Path, *, weight: str) -> None:
    """Take the first weight with that in its name out of a checkpoint."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors.pop(next(name for name in sorted(tensors) if weight in name))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
