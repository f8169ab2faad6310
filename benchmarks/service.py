"""How much of the engine's own speed is left when pictures come through the whole service.

In one run: the engine alone, in full batches on decoded pixels; then the same pictures through
HTTP, database, queue, worker and decode pool; then one picture at a time, waited for.
"""

import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import torch

from benchmarks.report import heading, keep
from captioner import schema
from captioner.catalog import SCENES_FOLDER
from captioner.images import ImageLimits, decode, fit
from captioner.settings import Settings
from tests import processes, stacks
from tests.pictures import png, scenes
from worker.engines import blip, loading
from worker.engines.device import Placement

PICTURES = 2_000
JOB = 32
CLIENTS = 4
BATCH = 16
SINGLES = 100


def alone(pictures: list[bytes]) -> float:
    """Pictures per second of the engine by itself, pixels ready, in full batches."""
    placement = Placement(torch.device("cpu"), torch.float32, "the benchmark")
    engine = blip.load(str(SCENES_FOLDER), revision="main", placement=placement, max_new_tokens=20)
    loading.warm_up(engine)
    limits = ImageLimits.from_settings(Settings())
    pixels = [fit(decode(data, limits), engine.image_size) for data in pictures]
    started = time.perf_counter()
    for start in range(0, len(pixels), BATCH):
        engine.caption(pixels[start : start + BATCH])
    return len(pixels) / (time.perf_counter() - started)


def through(base: str, pictures: list[bytes]) -> float:
    """Pictures per second from the first request to the last caption."""

    def run(start: int) -> None:
        files = [("images", ("x.png", data)) for data in pictures[start : start + JOB]]
        answer = httpx.post(f"{base}/captionImageBlocking?timeout=300", files=files, timeout=310)
        assert answer.status_code == 200, answer.text

    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(run, range(0, len(pictures), JOB)))
    return len(pictures) / (time.perf_counter() - started)


def waits(base: str, pictures: list[bytes]) -> list[float]:
    """Milliseconds of blocking calls with one picture each, one after the other."""
    found = []
    with httpx.Client(base_url=base, timeout=60) as client:
        for data in pictures:
            started = time.perf_counter()
            client.post("/captionImageBlocking", files=[("images", ("x.png", data))])
            found.append((time.perf_counter() - started) * 1e3)
    return found


def main() -> None:
    """Measure, print, and keep."""
    pictures = [png(scene) for scene in scenes(PICTURES, seed=8)]
    own = alone(pictures)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with stacks.started("sqlite-valkey", folder) as stack:
            schema.upgrade(Settings(database_url=stack.database_url))
            with processes.service(stack.environment, folder) as base:
                through(base, pictures[: 4 * JOB])
                whole = through(base, pictures)
                single = waits(base, pictures[:SINGLES])
    settings = {"model": "scenes", "pictures": PICTURES, "job": JOB, "clients": CLIENTS,
                "max_batch": BATCH, "database": "sqlite", "broker": "valkey"}  # fmt: skip
    quantiles = statistics.quantiles(single, n=20)
    keep(
        "service",
        heading("The service against its engine alone", settings)
        + f"engine alone, batches of {BATCH}   {own:8.1f} pictures/s\n"
        + f"through the service, jobs of {JOB}  {whole:8.1f} pictures/s\n"
        + f"ratio                          {whole / own:8.2f}\n"
        + f"blocking call, one picture     {statistics.median(single):8.1f} ms median, "
        + f"{quantiles[-1]:.1f} ms 95th percentile of {SINGLES}",
    )
