"""What the processes of the service hold while 10,000 pictures go through it.

The resident size of the API's processes, of the worker and of its decoders, twice a second. A model
is loaded once: the worker's log says each load.
"""

import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

import httpx
import numpy as np

from benchmarks import contenders
from benchmarks.contenders import Contender
from benchmarks.report import RESULTS, heading, keep
from captioner.catalog import SCENES_FOLDER
from tests.pictures import png, scenes
from tests.processes import held_mib

PICTURES, PART = 10_000, 1_000
JOB, CLIENTS = 32, 4
DISTINCT = 1_000
SAMPLE_S = 0.5
LOADED = "The model is loaded and warm"
SHORT = 512
MEASURED = ("api", "worker", "decoders")


@dataclass
class Sampled:
    """Resident MiB of each part, by the pictures that were done."""

    done: list[int] = field(default_factory=list)
    mib: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in MEASURED})

    def slope(self, name: str, first: int, last: int) -> float:
        """KiB for each 1,000 pictures between these two, by least squares."""
        done, mib = np.array(self.done), np.array(self.mib[name])
        among = (done >= first) & (done <= last)
        return float(np.polyfit(done[among], mib[among], 1)[0] * 1000 * 1024)

    def level(self, name: str, first: int, last: int) -> float:
        """Mean MiB between these two."""
        done, mib = np.array(self.done), np.array(self.mib[name])
        return float(mib[(done >= first) & (done <= last)].mean())


@contextmanager
def sampling(server: Contender, done: Callable[[], int]) -> Iterator[Sampled]:
    """Looks twice a second, for the length of the block, and once more at its end."""
    sampled, over = Sampled(), threading.Event()

    def look() -> None:
        sampled.done.append(done())
        for name in MEASURED:
            sampled.mib[name].append(held_mib(server.parts[name](), "rss"))

    def watch() -> None:
        while not over.wait(SAMPLE_S):
            look()

    look()
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield sampled
    finally:
        over.set()
        thread.join()
        look()


def drive(server: Contender, pictures: Sequence[bytes], total: int) -> Sampled:
    """Caption so many, in jobs, and watch."""
    ended: list[int] = []
    given = list(islice(cycle(pictures), total))

    def job(start: int) -> None:
        files = [("images", ("x.png", data)) for data in given[start : start + JOB]]
        url = f"http://{server.address}/captionImageBlocking?timeout=300"
        answer = httpx.post(url, files=files, timeout=310)
        assert answer.status_code == 200, answer.text
        ended.append(len(files))

    with sampling(server, lambda: sum(ended)) as sampled, ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(job, range(0, total, JOB)))
    return sampled


def lines(sampled: Sampled, total: int, loads: int) -> list[str]:
    """What stands in the result."""
    part = min(PART, total // 2)
    rows = [
        f"loads of the model in the worker's process: {loads}",
        f"{'resident':10} {f'first {part:,}':>14} {f'last {part:,}':>14} "
        f"{'slope, first':>20} {'slope, last':>20} {'slope, last half':>20}",
    ]
    for name in MEASURED:
        slopes = (
            sampled.slope(name, *between)
            for between in ((0, part), (total - part, total), (total // 2, total))
        )
        rows.append(
            f"{name:10} {sampled.level(name, 0, part):>10.1f} MiB "
            f"{sampled.level(name, total - part, total):>10.1f} MiB "
            + " ".join(f"{slope:>+12.0f} KiB/1000" for slope in slopes)
        )
    return rows


def plot(sampled: Sampled, path: Path) -> None:
    """Resident size over pictures, as SVG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    for name in MEASURED:
        axes.plot(sampled.done, sampled.mib[name], label=name)
    axes.set(xlabel="pictures captioned", ylabel="resident size, MiB", ylim=(0, None))
    axes.legend()
    figure.savefig(path, format="svg", metadata={"Date": None})


def main() -> None:
    """Measure, print and keep."""
    short = "--short" in sys.argv
    total = SHORT if short else PICTURES
    drawn = [png(scene, 96, 72) for scene in scenes(min(total, DISTINCT), seed=14)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with contenders.ours(str(SCENES_FOLDER), {}, folder) as server:
            sampled = drive(server, drawn, total)
        loads = (folder / "captioner" / "worker.log").read_text().count(LOADED)
        assert loads == 1, f"the model was loaded {loads} times"
        plot(sampled, (folder if short else RESULTS) / "memory.svg")
    settings: dict[str, object] = {
        "model": "scenes", "pictures": total, "job": JOB, "clients": CLIENTS, "sample_s": SAMPLE_S,
        "api_processes": 2, "workers": 1, "decode_processes": 2, "database": "sqlite",
    }  # fmt: skip
    title = "Memory over 10,000 pictures (plot: memory.svg)"
    keep("memory", heading(title, settings) + "\n".join(lines(sampled, total, loads)))
