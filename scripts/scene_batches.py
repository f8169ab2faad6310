"""Endless training batches of drawn scenes: worn like real files, resized as BLIP's processor does.

Workers draw them ahead of the training loop, each from a stream of its own. Beside its caption each
picture comes with maps that say, for every patch, which shape and which colour is there and what
part the thing plays in the caption.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter
from torch.utils.data import IterableDataset, get_worker_info

from scripts.scenes import (
    BACKGROUNDS,
    COLOURS,
    PROMPTS,
    RELATIONS,
    Scene,
    Thing,
    draw,
    grouped,
    held_out_caption,
    relation,
    stream,
)
from scripts.shapes import SHAPES

IGNORED = -100
SHAPE_NAMES = ("nothing", *SHAPES)
COLOUR_NAMES = (*BACKGROUNDS, *COLOURS)
ROLE_NAMES = (
    "none",
    *(f"{count} {place}" for count in (1, 2, 3) for place in ("alone", *RELATIONS, "second")),
)
"""What a thing is to the caption: how many there are, and how they lie to the second kind."""


class Batch(NamedTuple):
    """What one step learns from; P patches are numbered row by row."""

    pixels: torch.Tensor  # (B, 3, side, side), uint8
    ids: torch.Tensor  # (B, T)
    labels: torch.Tensor  # (B, T), IGNORED where there is nothing to learn
    shapes: torch.Tensor  # (B, P), numbers of SHAPE_NAMES
    colours: torch.Tensor  # (B, P), numbers of COLOUR_NAMES
    roles: torch.Tensor  # (B, P), numbers of ROLE_NAMES


def training_stream(seed: int, worker: int) -> str:
    """The name of one worker's stream; no training stream starts with "held-out"."""
    return f"training seed {seed} worker {worker}"


HELD_OUT_STREAM = "held-out"


def held_out(count: int) -> list[Scene]:
    """The first ``count`` scenes of the stream that training never draws from."""
    return [scene for scene, _ in zip(stream(HELD_OUT_STREAM), range(count), strict=False)]


def picture(scene: Scene, rng: random.Random) -> Image.Image:
    """``scene`` in a random size and shape, and half of the time a little worn."""
    longest = rng.randint(230, 640) if rng.random() < 0.1 else rng.randint(110, 230)
    shortest = round(longest * rng.uniform(0.75, 1))
    width, height = (longest, shortest) if rng.random() < 0.5 else (shortest, longest)
    image = draw(scene, width=width, height=height)
    return wear(image, rng) if rng.random() < 0.5 else image


def wear(image: Image.Image, rng: random.Random) -> Image.Image:
    """What happens to pictures on their way: light, blur, noise, JPEG. Each at random, mildly."""
    if rng.random() < 0.5:
        image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.9, 1.08))
    if rng.random() < 0.25:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.004 * max(image.size))))
    if rng.random() < 0.2:
        noise = np.random.default_rng(rng.getrandbits(32)).normal(0, 5, (*image.size[::-1], 3))
        image = Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))
    if rng.random() < 0.7:
        file = BytesIO()
        image.save(file, "JPEG", quality=rng.randint(60, 95))
        image = Image.open(file).convert("RGB")
    return image


def squashed(image: Image.Image, side: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The processor's own resize (bicubic, to a square), before its rescale and normalise."""
    small = image.resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(small).transpose(2, 0, 1)


def patch_maps(scene: Scene, size: tuple[int, int], grid: int) -> tuple[list[int], ...]:
    """Numbers of shape, colour and role in the middle of each of ``grid`` by ``grid`` patches."""
    ground = (0, COLOUR_NAMES.index(scene.background), 0)
    found = [ground] * grid**2
    for thing in scene.things:
        half_x, half_y = (thing.size / 2 * min(size) / extent for extent in size)
        here = (
            SHAPE_NAMES.index(thing.shape),
            COLOUR_NAMES.index(thing.colour),
            ROLE_NAMES.index(role(scene, thing)),
        )
        for number in range(grid**2):
            x, y = (number % grid + 0.5) / grid, (number // grid + 0.5) / grid
            if abs(x - thing.x) < half_x and abs(y - thing.y) < half_y:
                found[number] = here
    shapes, colours, roles = (list(column) for column in zip(*found, strict=True))
    return shapes, colours, roles


def role(scene: Scene, thing: Thing) -> str:
    """Which of ROLE_NAMES ``thing`` plays in the caption of ``scene``."""
    groups = grouped(scene.things)
    if len(groups) == 1:
        return f"{len(groups[0])} alone"
    if thing in groups[1]:
        return f"{len(groups[1])} second"
    return f"{len(groups[0])} {relation(*groups)}"


@dataclass(frozen=True)
class Words:
    """The ids that a caption becomes: start, words, end, then padding."""

    ids: dict[str, int]
    start: int
    end: int
    pad: int
    longest: int

    def encode(self, caption: str, *, prompt: str = "") -> tuple[list[int], list[int]]:
        """Ids and labels of ``prompt`` and ``caption``; the prompt itself is never a label."""
        given = [self.ids[word] for word in prompt.split()]
        asked = [*(self.ids[word] for word in caption.split()), self.end]
        filler = self.longest - 1 - len(given) - len(asked)
        ids = [self.start, *given, *asked] + [self.pad] * filler
        labels = [IGNORED] * (1 + len(given)) + asked + [IGNORED] * filler
        return ids, labels


class SceneBatches(IterableDataset[Batch]):
    """Batches without end; worker w of seed s always draws the same ones."""

    def __init__(self, *, seed: int, batch: int, side: int, patch: int, words: Words) -> None:
        self.seed, self.batch, self.side, self.words = seed, batch, side, words
        self.grid = side // patch

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        name = training_stream(self.seed, worker.id if worker else 0)
        rng = random.Random(f"{name} wear")
        scenes = (scene for scene in stream(name) if not held_out_caption(scene.caption))
        while True:
            yield self._draw([next(scenes) for _ in range(self.batch)], rng)

    def _draw(self, scenes: list[Scene], rng: random.Random) -> Batch:
        images = [picture(scene, rng) for scene in scenes]
        pixels = np.stack([squashed(image, self.side) for image in images])
        prompts = [rng.choice(PROMPTS) if rng.random() < 0.1 else "" for _ in scenes]
        texts = [
            self.words.encode(scene.caption, prompt=prompt)
            for scene, prompt in zip(scenes, prompts, strict=True)
        ]
        maps = [
            patch_maps(scene, image.size, self.grid)
            for scene, image in zip(scenes, images, strict=True)
        ]
        columns = (*zip(*texts, strict=True), *zip(*maps, strict=True))
        return Batch(torch.from_numpy(pixels), *(torch.tensor(column) for column in columns))
