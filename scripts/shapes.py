"""Ten flat drawings, each a few filled parts in a unit square; knows nothing about captions.

A part's coordinates run from 0 to 1 inside the thing's box, x to the right and y down. Its tone is
1 for the thing's own colour and less for a darker detail (a roof, a trunk, wheels).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from PIL import ImageDraw

Point = tuple[float, float]
Colour = tuple[int, int, int]

DARKER = 0.62


@dataclass(frozen=True)
class Part:
    """One filled outline: a polygon's corners, or the two corners of an ellipse's box."""

    kind: Literal["polygon", "ellipse"]
    points: tuple[Point, ...]
    tone: float = 1.0


def _polygon(*points: Point, tone: float = 1.0) -> Part:
    return Part("polygon", points, tone)


def _ellipse(left: float, top: float, right: float, bottom: float, tone: float = 1.0) -> Part:
    return Part("ellipse", ((left, top), (right, bottom)), tone)


def _box(left: float, top: float, right: float, bottom: float, tone: float = 1.0) -> Part:
    return _polygon((left, top), (right, top), (right, bottom), (left, bottom), tone=tone)


def _around(turns: float, radius: float) -> Point:
    """A point of a circle about the middle of the box; no turns is straight up."""
    angle = 2 * math.pi * turns
    return 0.5 + radius * math.sin(angle), 0.5 - radius * math.cos(angle)


def _star() -> tuple[Part, ...]:
    corners = [_around(corner / 10, 0.5 if corner % 2 == 0 else 0.2) for corner in range(10)]
    return (_polygon(*corners),)


def _sun() -> tuple[Part, ...]:
    rays = [
        _polygon(_around(ray / 8 - 0.04, 0.3), _around(ray / 8, 0.5), _around(ray / 8 + 0.04, 0.3))
        for ray in range(8)
    ]
    return (*rays, _ellipse(0.24, 0.24, 0.76, 0.76))


def _heart() -> tuple[Part, ...]:
    """The usual parametric heart, 16 sin³ t against 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t."""
    outline: list[Point] = []
    for step in range(48):
        t = 2 * math.pi * step / 48
        height = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        outline.append((0.5 + 0.5 * math.sin(t) ** 3, 0.42 - height / 32))
    return (_polygon(*outline),)


SHAPES: dict[str, tuple[Part, ...]] = {
    "circle": (_ellipse(0, 0, 1, 1),),
    "square": (_box(0.06, 0.06, 0.94, 0.94),),
    "triangle": (_polygon((0.5, 0.04), (1, 0.94), (0, 0.94)),),
    "star": _star(),
    "heart": _heart(),
    "house": (
        _box(0.12, 0.42, 0.88, 1),
        _polygon((0.5, 0), (1, 0.46), (0, 0.46), tone=DARKER),
        _box(0.4, 0.64, 0.6, 1, tone=DARKER),
    ),
    "tree": (_box(0.41, 0.5, 0.59, 1, tone=DARKER), _ellipse(0.12, 0, 0.88, 0.7)),
    "sun": _sun(),
    "boat": (
        _polygon((0, 0.66), (1, 0.66), (0.8, 1), (0.2, 1), tone=DARKER),
        _polygon((0.5, 0), (0.5, 0.6), (0.1, 0.6)),
        _polygon((0.56, 0.12), (0.9, 0.6), (0.56, 0.6)),
    ),
    "car": (
        _box(0, 0.46, 1, 0.72),
        _polygon((0.28, 0.22), (0.7, 0.22), (0.84, 0.5), (0.16, 0.5)),
        _ellipse(0.1, 0.58, 0.36, 0.84, tone=DARKER),
        _ellipse(0.64, 0.58, 0.9, 0.84, tone=DARKER),
    ),
}


def paint(
    pen: ImageDraw.ImageDraw, shape: str, *, left: float, top: float, side: float, colour: Colour
) -> None:
    """Fill ``shape`` into the square box at ``left``, ``top`` with ``side`` (all in pixels)."""
    for part in SHAPES[shape]:
        red, green, blue = (round(level * part.tone) for level in colour)
        spots = [(left + x * side, top + y * side) for x, y in part.points]
        _fill(pen, part.kind, spots, (red, green, blue))


def _fill(pen: ImageDraw.ImageDraw, kind: str, spots: Sequence[Point], colour: Colour) -> None:
    if kind == "ellipse":
        pen.ellipse([spots[0], spots[1]], fill=colour)
    else:
        pen.polygon(list(spots), fill=colour)
