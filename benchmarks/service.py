"""How much of the engine's own speed is left when pictures come through the whole service.

In one run, for our small network and for BLIP-base in its real size: the engine alone, in full
batches on decoded pixels; then the same pictures through HTTP, database, queue, worker and decode
pool, in turns; then one picture at a time, waited for.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks import contenders, noise
from benchmarks.report import heading, keep
from captioner.catalog import SCENES_FOLDER
from captioner.images import ImageLimits, decode, fit
from captioner.options import Options
from captioner.settings import Settings
from tests.pictures import png, scenes
from worker.engines import blip, loading
from worker.engines.device import place

JOB, CLIENTS, SINGLES, ROUNDS = 32, 4, 50, 3
PLAINLY = {"min_new_tokens": "1"}
"""So that a caption of noise, which repeats itself, is not asked for a second time."""


@dataclass(frozen=True)
class Load:
    """A network, and what it is given."""

    name: str
    pictures: int
    batch: int
    width: int


def alone(weights: str, load: Load) -> Callable[[Sequence[bytes]], float]:
    """Pictures per second of the engine by itself, pixels ready, in full batches."""
    placement, options = place(Settings()), Options(min_new_tokens=1)
    engine = blip.load(weights, revision="main", placement=placement, max_new_tokens=20)
    loading.warm_up(engine)
    limits = ImageLimits.from_settings(Settings())

    def run(pictures: Sequence[bytes]) -> float:
        pixels = [fit(decode(data, limits), engine.image_size) for data in pictures]
        engine.caption(pixels[: load.batch], options)
        started = time.perf_counter()
        for start in range(0, len(pixels), load.batch):
            engine.caption(pixels[start : start + load.batch], options)
        return len(pixels) / (time.perf_counter() - started)

    return run


def through(base: str, pictures: Sequence[bytes]) -> float:
    """Pictures per second from the first request to the last caption."""

    def run(start: int) -> None:
        files = [("images", ("x.png", data)) for data in pictures[start : start + JOB]]
        url = f"{base}/captionImageBlocking?timeout=300"
        answer = httpx.post(url, files=files, data=PLAINLY, timeout=310)
        assert answer.status_code == 200, answer.text

    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(run, range(0, len(pictures), JOB)))
    return len(pictures) / (time.perf_counter() - started)


def waits(base: str, pictures: Sequence[bytes]) -> list[float]:
    """Milliseconds of blocking calls with one picture each, one after the other."""
    found = []
    with httpx.Client(base_url=base, timeout=60) as client:
        for data in pictures:
            started = time.perf_counter()
            files = [("images", ("x.png", data))]
            client.post("/captionImageBlocking", files=files, data=PLAINLY)
            found.append((time.perf_counter() - started) * 1e3)
    return found


def measured(weights: str, load: Load) -> list[str]:
    """The lines of one network."""
    drawn = scenes(load.pictures * (ROUNDS + 1), seed=8)
    given = [png(scene, load.width, load.width * 3 // 4) for scene in drawn]
    run = alone(weights, load)
    settings = {"CAPTIONER_MAX_BATCH": str(load.batch), "CAPTIONER_DTYPE": "auto"}
    own, whole = [], []
    with (
        tempfile.TemporaryDirectory() as name,
        contenders.ours(weights, settings, Path(name)) as server,
    ):
        base = f"http://{server.address}"
        through(base, given[-2 * JOB :])
        for turn in range(ROUNDS):
            some = given[turn * load.pictures : (turn + 1) * load.pictures]
            own.append(run(some))
            whole.append(through(base, some))
        single = waits(base, given[-load.pictures :][:SINGLES])
    ratios = [mine / engine for mine, engine in zip(whole, own, strict=True)]
    return [
        f"{load.name}, batches of {load.batch}, {ROUNDS} rounds of {load.pictures} in turns",
        f"  engine alone               {statistics.median(own):8.2f} pictures/s",
        f"  through the service        {statistics.median(whole):8.2f} pictures/s",
        f"  ratio of each round        {', '.join(f'{ratio:.3f}' for ratio in ratios)}: "
        f"median {statistics.median(ratios):.3f}",
        f"  blocking call, one picture {statistics.median(single):8.1f} ms at the median",
    ]


def main() -> None:
    """Measure, print, and keep."""
    lines = measured(str(SCENES_FOLDER), Load("scenes", 1_024, 16, 320))
    with tempfile.TemporaryDirectory() as name:
        lines += measured(str(noise.save(Path(name))), Load("BLIP-base", 192, 8, 640))
    settings: dict[str, object] = {
        "dtype": place(Settings()).name, "job": JOB, "clients": CLIENTS, "database": "sqlite",
        "broker": "valkey", "api_processes": 2, "workers": 1, "decode_processes": 2,
    }  # fmt: skip
    keep("service", heading("The service against its engine alone", settings) + "\n".join(lines))
