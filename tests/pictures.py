"""Drawn pictures, as bytes, for tests."""

import base64
import random
from io import BytesIO

from PIL import Image

from scripts.scenes import Scene, draw, sample

HELD_OUT = 7_000_000
"""Seeds from here on are the tests' own: training never draws them."""


def scenes(count: int, *, seed: int = 0) -> list[Scene]:
    """Scenes that the checkpoint has not been trained on."""
    rng = random.Random(HELD_OUT + seed)
    return [sample(rng) for _ in range(count)]


def sure(count: int, *, seed: int = 0) -> list[Scene]:
    """Scenes of one thing, or of like things: those that the checkpoint names without a miss.

    For tests that ask whether a caption came back to its place, not whether the network is good.
    """
    unlike = (" to the ", " above ", " below ")
    rng = random.Random(HELD_OUT + seed)
    found: list[Scene] = []
    while len(found) < count:
        scene = sample(rng)
        if not any(word in scene.caption for word in unlike):
            found.append(scene)
    return found


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def png(scene: Scene, width: int = 320, height: int = 240) -> bytes:
    return encoded(draw(scene, width=width, height=height))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def plain(colour: str = "red", width: int = 64, height: int = 64) -> bytes:
    """A picture of one colour, for tests that do not care for its caption."""
    return encoded(Image.new("RGB", (width, height), colour))
