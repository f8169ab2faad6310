"""Pictures whose right caption is known without the service: pixels made from a number.

They have the size that the witness engine asks for, so that nothing resizes them, and PNG keeps
them bit for bit. What the engine sees is then what was drawn, or somebody changed it.
"""

import hashlib
from enum import IntEnum

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.pictures import encoded

SIDE = 32
Pixels = npt.NDArray[np.uint8]

COLOURS = ("red", "green", "blue", "white", "black", "yellow", "pink", "grey", "orange", "teal")
THINGS = ("house", "boat", "tree", "horse", "lamp", "chair", "cloud", "river", "tower", "train")
MAGIC = (250, 5, 251)
"""The first pixel of a picture that orders the engine to do something."""


class Order(IntEnum):
    """What a picture makes the witness engine do."""

    NONE = 0
    SEGFAULT = 1
    RAISE = 2
    OUT_OF_MEMORY = 3
    """Out of memory in any batch of more than four."""
    HANG = 4
    SLEEP = 5
    """Three seconds for this batch."""
    EMPTY = 6
    """An empty caption."""


def pixels(number: int, order: Order = Order.NONE) -> Pixels:
    """The picture of a number, (height, width, 3): a coarse pattern, different for every number."""
    coarse = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    drawn: Pixels = coarse.repeat(SIDE // 8, axis=0).repeat(SIDE // 8, axis=1)
    drawn[0, 0] = MAGIC if order else (0, 0, 0)
    drawn[0, 1] = order
    return drawn


def png(number: int, order: Order = Order.NONE) -> bytes:
    """That picture as a file."""
    return encoded(Image.fromarray(pixels(number, order)))


def order_of(picture: Pixels) -> Order:
    """What the picture orders."""
    return Order(int(picture[0, 1, 0])) if tuple(picture[0, 0]) == MAGIC else Order.NONE


def mark(picture: Pixels) -> str:
    """The picture's own name: it depends on its pixels alone."""
    return hashlib.sha256(np.ascontiguousarray(picture).tobytes()).hexdigest()[:16]


def caption(picture: Pixels) -> str:
    """The one right caption; no two pictures share it."""
    name = mark(picture)
    number = int(name, 16)
    colour = COLOURS[number % len(COLOURS)]
    thing = THINGS[number // len(COLOURS) % len(THINGS)]
    return f"a {colour} {thing} called {name}"
