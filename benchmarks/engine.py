"""BLIP-base in its real size: the seeds' call, and ours, in one run.

Weights are seeded noise, so that nothing is downloaded; 20 tokens are forced, so that all write
as much. The seeds' call is transformers' processor and `generate`, in float32, one picture at a
time. Beside the times stands what the machine can do, by the same matrices in a plain product.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import BlipImageProcessorPil

from benchmarks import noise
from benchmarks.report import RESULTS, heading, keep
from captioner.images import fit
from captioner.options import Options
from worker.engines.blip import FastBlipEngine, Network, TorchNetwork
from worker.engines.blip_openvino import OpenVinoNetwork
from worker.engines.blip_reference import BlipEngine
from worker.engines.device import Placement

ROUNDS = 3
SINGLES = 3
"""How often in each round a single picture is captioned: it is over soon, and varies more."""
TOKENS = 20
BATCHES = (1, 8, 16)
OPTIONS = Options(min_new_tokens=TOKENS, max_new_tokens=TOKENS)
CPU = Placement(torch.device("cpu"), torch.float32, "the benchmark")
VISION_GFLOP = 2 * 577 * 768 * 768 * 12 * 12 / 1e9 + 4 * 577 * 577 * 768 * 12 / 1e9
MEMORY_GFLOP = 2 * 577 * 768 * 768 * 24 / 1e9
STEP_WEIGHTS = 12 * (6 * 768 * 768 + 2 * 768 * 3072) + 768 * 30_524
"""Weights that each token reads: those of the layers but the keys and values of pictures; the head.
"""
STEP_MEMORY = 24 * 577 * 768
"""Numbers that each token reads of each picture: keys and values of twelve layers."""
WIDTHS = {"float32": (4, 4), "bfloat16": (2, 2), "int8": (1, 2)}
"""Bytes of a weight, and of a number that is remembered of a picture."""


class Numbers:
    """In the tokenizer's place: noise writes no words."""

    def decode(self, tokens: list[int], **_: Any) -> str:
        return " ".join(map(str, tokens))


@dataclass(frozen=True)
class Runner:
    """One way to caption pictures, at one batch size."""

    name: str
    batch: int
    run: Callable[[list[Image.Image]], object]


def pictures(count: int) -> list[Image.Image]:
    """480 x 640, of noise."""
    rng = np.random.default_rng(0)
    return [
        Image.fromarray(rng.integers(0, 255, (480, 640, 3), dtype=np.uint8)) for _ in range(count)
    ]


def seeds_call(model: Any, processor: Any) -> Callable[[list[Image.Image]], object]:
    """What the five projects do."""

    @torch.inference_mode()
    def run(given: list[Image.Image]) -> object:
        values = processor(given, return_tensors="pt").pixel_values
        return model.generate(pixel_values=values, min_new_tokens=TOKENS, max_new_tokens=TOKENS)

    return run


def ours(slow: BlipEngine, net: Network) -> Callable[[list[Image.Image]], object]:
    """What a worker does: the resizing of its decoders, and its engine."""
    engine = FastBlipEngine(slow, net)
    return lambda given: engine.caption([fit(one, engine.image_size) for one in given], OPTIONS)


def measured(runners: list[Runner]) -> dict[tuple[str, int], float]:
    """Median seconds per picture of each, in turns, so that all meet the same machine."""
    given = pictures(max(BATCHES))
    times: dict[tuple[str, int], list[float]] = {(r.name, r.batch): [] for r in runners}
    for runner in runners:
        runner.run(given[: runner.batch])
    singles = [runner for runner in runners if runner.batch == 1]
    for _ in range(ROUNDS):
        for runner in [*runners, *singles * (SINGLES - 1)]:
            started = time.perf_counter()
            runner.run(given[: runner.batch])
            elapsed = time.perf_counter() - started
            times[runner.name, runner.batch].append(elapsed / runner.batch)
    return {key: statistics.median(found) for key, found in times.items()}


def best(run: Callable[[], object], rounds: int = 5) -> float:
    """Least seconds of a few."""
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        found.append(time.perf_counter() - started)
    return min(found)


def gflops(dtype: torch.dtype) -> float:
    """GFLOP/s of a product as large as the vision tower's."""
    a, b = torch.randn(4616, 768).to(dtype), torch.randn(768, 3072).to(dtype)
    return 2 * 4616 * 768 * 3072 / best(lambda: a @ b) / 1e9


def gigabytes_per_second() -> float:
    """Reading memory, as fast as it goes."""
    data = torch.ones(256 * 2**20 // 4)
    return 256 * 2**20 / best(data.sum) / 1e9


def stages(net: Network) -> tuple[float, float]:
    """Seconds to look at a picture in a batch of 8, and of one step of a batch of 8."""
    values = torch.zeros(8, 3, 384, 384)
    with torch.inference_mode():
        look = best(lambda: net.look(values), rounds=3) / 8
        writer = net.look(values)
        token = torch.full((8, 1), 30_522)
        writer.step(token)
        return look, best(lambda: writer.step(token), rounds=8)


def main() -> None:
    """Measure, print and keep."""
    model = noise.network()
    processor = BlipImageProcessorPil()
    slow = BlipEngine(
        model, Numbers(), processor, placement=CPU, revision="noise", max_new_tokens=TOKENS
    )
    nets: dict[str, Network] = {
        "PyTorch float32": TorchNetwork(model, device=CPU.device, dtype=CPU.dtype),
        "OpenVINO float32": OpenVinoNetwork(model, dtype=torch.float32),
        "OpenVINO bfloat16": OpenVinoNetwork(model, dtype=torch.bfloat16),
        "OpenVINO int8": OpenVinoNetwork(model, dtype=torch.int8),
    }
    call = seeds_call(model, processor)
    runners = [Runner("the seeds' call", 1, call), Runner("generate", 8, call)]
    runners += [
        Runner(name, size, ours(slow, net)) for name, net in nets.items() for size in BATCHES
    ]
    times = measured(runners)
    keep("engine", _report(times, nets))


@dataclass(frozen=True)
class Share:
    """How near a network comes to what the machine can do."""

    name: str
    look_s: float
    step_s: float
    gflops: float
    of_product: float
    gigabytes: float
    of_reading: float

    def __str__(self) -> str:
        return (
            f"{self.name:20} looking {self.look_s:.3f} s per picture, {self.gflops:.0f} GFLOP/s, "
            f"{self.of_product:.0%} of the product; a step of 8 {self.step_s * 1e3:.1f} ms, "
            f"{self.gigabytes:.0f} GB/s, {self.of_reading:.0%} of reading"
        )


def share(name: str, net: Network, peaks: dict[str, float], read: float) -> Share:
    """Of the plain product in the same format (int8: in bfloat16), and of reading memory."""
    look, step = stages(net)
    weights, remembered = WIDTHS[name.split()[1]]
    done = (VISION_GFLOP + MEMORY_GFLOP) / look
    moved = (STEP_WEIGHTS * weights + 8 * STEP_MEMORY * remembered) / step / 1e9
    peak = peaks["float32" if weights == 4 else "bfloat16"]
    return Share(name, look, step, done, done / peak, moved, moved / read)


def plot(times: dict[tuple[str, int], float], shares: list[Share], path: Path) -> None:
    """How many times as fast, and how near to the limits, as SVG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    fast, near = figure.subplots(1, 2)
    base = times["the seeds' call", 1]
    labels = [f"{name}, {size}" for name, size in times]
    fast.barh(labels, [base / seconds for seconds in times.values()])
    fast.invert_yaxis()
    fast.set(xlabel="times as fast as the usual call, by batch size")
    places = np.arange(len(shares))
    near.bar(places - 0.2, [100 * each.of_product for each in shares], 0.4, label="looking")
    near.bar(places + 0.2, [100 * each.of_reading for each in shares], 0.4, label="a step of 8")
    near.set_xticks(places, [each.name.replace(" ", "\n") for each in shares])
    near.set(ylabel="percent of a plain product, and of reading memory")
    near.legend()
    figure.savefig(path, format="svg", metadata={"Date": None})


def _report(times: dict[tuple[str, int], float], nets: dict[str, Network]) -> str:
    base = times["the seeds' call", 1]
    lines = [f"{'':20} {'batch':>5} {'s per picture':>14} {'times as fast':>14}"]
    lines += [
        f"{name:20} {size:>5} {seconds:>14.3f} {base / seconds:>14.2f}"
        for (name, size), seconds in times.items()
    ]
    peaks = {"float32": gflops(torch.float32), "bfloat16": gflops(torch.bfloat16)}
    read = gigabytes_per_second()
    shares = [share(name, net, peaks, read) for name, net in nets.items()]
    lines += ["", f"matrix products: {peaks['float32']:.0f} GFLOP/s in float32, "
              f"{peaks['bfloat16']:.0f} in bfloat16; memory: {read:.0f} GB/s", ""]  # fmt: skip
    plot(times, shares, RESULTS / "engine.svg")
    settings: dict[str, object] = {
        "tokens": TOKENS, "rounds": ROUNDS, "singles": SINGLES, "input": "480x640",
        "threads": torch.get_num_threads(),
    }  # fmt: skip
    title = "BLIP-base by itself (plot: engine.svg)"
    return heading(title, settings) + "\n".join([*lines, *map(str, shares)])
