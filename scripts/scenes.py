"""Draw little scenes whose caption follows from what can be seen: `sample` one, then `draw` it.

The grammar, in full (every scene ends with "on a <background> background"):

- one thing: "a red star on a white background"
- two or three alike: "three blue circles on a black background"
- two unlike things, the clearly larger one first: "a red star to the left of a blue house ..."
- two alike and a third, the two first: "two red stars above a blue house ..."

Relations are "to the left of", "to the right of", "above" and "below". Margins are wide on purpose:
of two unlike things one is at least one and a half times as large, and a relation's two sides
never overlap along its axis and always overlap across it.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, ImageDraw

from scripts.shapes import SHAPES, Colour, paint

COLOURS: dict[str, Colour] = {
    "red": (222, 32, 38),
    "orange": (248, 136, 16),
    "yellow": (250, 226, 40),
    "green": (34, 160, 62),
    "blue": (36, 84, 226),
    "purple": (136, 44, 186),
    "pink": (252, 128, 190),
}
BACKGROUNDS: dict[str, Colour] = {
    "white": (250, 250, 250),
    "black": (16, 16, 16),
    "gray": (146, 146, 146),
    "brown": (104, 66, 34),
    "beige": (228, 208, 170),
}
COUNTS = {2: "two", 3: "three"}
RELATIONS = ("to the left of", "to the right of", "above", "below")
PROMPTS = ("a picture of", "a photo of", "an image of")

_LINKS = ("to", "the", "left", "right", "of", "above", "below", "on", "background")
_PROMPT_WORDS = ("picture", "photo", "image")
VOCABULARY: tuple[str, ...] = (
    *("a", "an", *COUNTS.values(), *COLOURS, *BACKGROUNDS),
    *(*SHAPES, *(f"{shape}s" for shape in SHAPES), *_LINKS, *_PROMPT_WORDS),
)
"""Every word of every caption, and of the prompts that the checkpoint was shown."""

MARGIN = 0.03
GAP = 0.06


@dataclass(frozen=True)
class Thing:
    """One drawn thing; its middle in frame widths and heights, its size in shorter frame sides."""

    shape: str
    colour: str
    rgb: Colour
    x: float
    y: float
    size: float


@dataclass(frozen=True)
class Scene:
    """What to draw, and the one right caption for it."""

    caption: str
    background: str
    background_rgb: Colour
    things: tuple[Thing, ...]


Spot = tuple[float, float, float]  # x, y, size
Kind = tuple[str, str]  # shape, colour


def sample(rng: random.Random) -> Scene:
    """One random scene; the same state of ``rng`` always gives the same scene."""
    groups = _layout(rng)
    first = (rng.choice(list(SHAPES)), rng.choice(list(COLOURS)))
    kinds = [first, _another(rng, first)]
    background = rng.choice(list(BACKGROUNDS))
    things = tuple(
        Thing(*kind, _near(rng, COLOURS[kind[1]]), *spot)
        for kind, spots in zip(kinds, groups, strict=False)
        for spot in spots
    )
    caption = describe(background, things)
    return Scene(caption, background, _near(rng, BACKGROUNDS[background], by=5), things)


def stream(name: str) -> Iterator[Scene]:
    """An endless stream of scenes that depends on nothing but ``name``."""
    rng = random.Random(name)
    while True:
        yield sample(rng)


def held_out_caption(caption: str) -> bool:
    """Whether training leaves this caption out: one in twenty of those with a relation."""
    relation = any(word in caption.split() for word in ("above", "below", "left", "right"))
    return relation and zlib.crc32(caption.encode()) % 20 == 0


def describe(background: str, things: tuple[Thing, ...]) -> str:
    """The caption of ``things`` on ``background``, read off their kinds, places and sizes."""
    groups = grouped(things)
    words = _name(groups[0])
    if len(groups) == 2:
        words = f"{words} {relation(groups[0], groups[1])} {_name(groups[1])}"
    return f"{words} on a {background} background"


def grouped(things: tuple[Thing, ...]) -> list[list[Thing]]:
    """Things alike together; the more come first, and of as many the larger."""
    kinds = dict.fromkeys((thing.shape, thing.colour) for thing in things)
    groups = [[t for t in things if (t.shape, t.colour) == kind] for kind in kinds]
    return sorted(groups, key=lambda group: (-len(group), -group[0].size))


def relation(first: list[Thing], second: list[Thing]) -> str:
    """Where the first group is, seen from the second: along the one axis where they are apart."""
    if max(t.x + t.size / 2 for t in first) < min(t.x - t.size / 2 for t in second):
        return "to the left of"
    if min(t.x - t.size / 2 for t in first) > max(t.x + t.size / 2 for t in second):
        return "to the right of"
    if max(t.y + t.size / 2 for t in first) < min(t.y - t.size / 2 for t in second):
        return "above"
    return "below"


def draw(scene: Scene, *, width: int, height: int) -> Image.Image:
    """``scene`` as an RGB picture of exactly this many pixels, edges smoothed.

    The caption is right for any frame; the checkpoint was trained on frames from 3:4 to 4:3.
    """
    fine = 3 if max(width, height) < 240 else 2
    canvas = Image.new("RGB", (width * fine, height * fine), scene.background_rgb)
    pen = ImageDraw.Draw(canvas)
    for thing in scene.things:
        side = thing.size * min(canvas.size)
        left, top = thing.x * canvas.width - side / 2, thing.y * canvas.height - side / 2
        paint(pen, thing.shape, left=left, top=top, side=side, colour=thing.rgb)
    return canvas.reduce(fine)


def _name(group: list[Thing]) -> str:
    shape, colour = group[0].shape, group[0].colour
    if len(group) > 1:
        return f"{COUNTS[len(group)]} {colour} {shape}s"
    return f"{'an' if colour[0] in 'aeiou' else 'a'} {colour} {shape}"


def _another(rng: random.Random, kind: Kind) -> Kind:
    while True:
        other = (rng.choice(list(SHAPES)), rng.choice(list(COLOURS)))
        if other != kind:
            return other


def _near(rng: random.Random, colour: Colour, *, by: int = 10) -> Colour:
    red, green, blue = (min(255, max(0, level + rng.randint(-by, by))) for level in colour)
    return red, green, blue


def _layout(rng: random.Random) -> list[list[Spot]]:
    """Where things go: one list of spots for each kind of thing."""
    choice = rng.random()
    if choice < 0.2:
        return [_scattered(rng, 1, rng.uniform(0.32, 0.8))]
    if choice < 0.4:
        return [_scattered(rng, rng.choice(list(COUNTS)), rng.uniform(0.24, 0.32))]
    groups = _pair(rng) if choice < 0.75 else _two_and_one(rng)
    return _turned(rng, groups)


def _turned(rng: random.Random, groups: list[list[Spot]]) -> list[list[Spot]]:
    """Mirror and turn a left-to-right layout at random, so that all four relations come up."""
    if rng.random() < 0.5:
        groups = [[(1 - x, y, size) for x, y, size in group] for group in groups]
    if rng.random() < 0.5:
        groups = [[(y, x, size) for x, y, size in group] for group in groups]
    return groups


def _scattered(rng: random.Random, count: int, size: float) -> list[Spot]:
    low, high = MARGIN + size / 2, 1 - MARGIN - size / 2
    while True:
        spots = [(rng.uniform(low, high), rng.uniform(low, high), size) for _ in range(count)]
        pairs = [(a, b) for i, a in enumerate(spots) for b in spots[:i]]
        if all(max(abs(a[0] - b[0]), abs(a[1] - b[1])) > size + GAP for a, b in pairs):
            return spots


def _side_by_side(rng: random.Random, first: float, second: float) -> tuple[float, float]:
    """Middles of two extents along one axis, the first before the second, with a gap between."""
    free = 1 - 2 * MARGIN - GAP - first - second
    before, upto = sorted((rng.uniform(0, free), rng.uniform(0, free)))
    return MARGIN + before + first / 2, MARGIN + upto + GAP + first + second / 2


def _pair(rng: random.Random) -> list[list[Spot]]:
    large, small = rng.uniform(0.42, 0.50), rng.uniform(0.22, 0.25)
    x_large, x_small = _side_by_side(rng, large, small)
    y_large = rng.uniform(MARGIN + large / 2, 1 - MARGIN - large / 2)
    y_small = y_large + rng.uniform(-0.1, 0.1)
    return [[(x_large, y_large, large)], [(x_small, y_small, small)]]


def _two_and_one(rng: random.Random) -> list[list[Spot]]:
    each, single, wobble = rng.uniform(0.24, 0.3), rng.uniform(0.26, 0.4), 0.03
    x_each, x_single = _side_by_side(rng, each + 2 * wobble, single)
    rows = _side_by_side(rng, each, each)
    twins = [(x_each + rng.uniform(-wobble, wobble), y, each) for y in rows]
    y_single = sum(rows) / 2 + rng.uniform(-0.08, 0.08)
    y_single = min(max(y_single, MARGIN + single / 2), 1 - MARGIN - single / 2)
    return [twins, [(x_single, y_single, single)]]
