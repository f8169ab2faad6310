"""What `CAPTIONER_FAST_DECODE` saves, and what it changes: photographs of drawn scenes, as JPEG."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks.report import heading, keep
from captioner.catalog import SCENES_FOLDER
from captioner.images import ImageLimits
from captioner.settings import Settings
from scripts.scenes import draw
from tests.pictures import encoded, scenes
from worker.decode_child import decode_and_fit
from worker.engines import blip
from worker.engines.device import place

COUNT, BATCH, SIDES = 400, 16, ((1600, 1200), (4000, 3000))
SEEN = (384, 384)
"""What BLIP sees."""


def main() -> None:
    """Measure, print and keep."""
    slow = ImageLimits.from_settings(Settings())
    fast = replace(slow, fast_decode=True)
    lines = []
    for width, height in SIDES:
        drawn = scenes(COUNT if width < 2000 else 20, seed=21)
        files = [
            encoded(draw(each, width=width, height=height), "JPEG", quality=90) for each in drawn
        ]
        took = {each: timed(files[:20], each) for each in (slow, fast)}
        lines.append(
            f"JPEG of {width} x {height}: {took[slow]:.1f} ms, fast {took[fast]:.1f} ms, "
            f"{took[slow] / took[fast]:.1f} times as fast; mean difference of a level "
            f"{difference(files[:20], slow, fast):.2f} of 255"
        )
        if len(files) == COUNT:
            right = [exact(files, [one.caption for one in drawn], each) for each in (slow, fast)]
            lines.append(f"exact captions of {COUNT}: {right[0]}, fast {right[1]}")
    settings: dict[str, object] = {
        "seen": "384x384",
        "quality": 90,
        "dtype": place(Settings()).name,
    }
    keep("decode", heading("Decoding large JPEGs", settings) + "\n".join(lines))


def timed(files: Sequence[bytes], limits: ImageLimits) -> float:
    """Median milliseconds to decode and resize one."""
    found = []
    for data in files:
        started = time.perf_counter()
        decode_and_fit(data, SEEN, limits)
        found.append((time.perf_counter() - started) * 1e3)
    return statistics.median(found)


def difference(files: Sequence[bytes], one: ImageLimits, other: ImageLimits) -> float:
    """Mean distance of levels."""
    pairs = ((decode_and_fit(d, SEEN, one), decode_and_fit(d, SEEN, other)) for d in files)
    return float(np.mean([np.abs(a.astype(int) - b.astype(int)).mean() for a, b in pairs]))


def exact(files: Sequence[bytes], truth: Sequence[str], limits: ImageLimits) -> int:
    """Captions of our small network that are right."""
    engine = blip.load(
        str(SCENES_FOLDER), revision="main", placement=place(Settings()), max_new_tokens=20
    )
    said: list[str | None] = []
    for start in range(0, len(files), BATCH):
        some = files[start : start + BATCH]
        pixels = [decode_and_fit(data, engine.image_size, limits) for data in some]
        said += [answer and answer.text for answer in engine.caption(pixels)]
    return sum(a == b for a, b in zip(said, truth, strict=True))
