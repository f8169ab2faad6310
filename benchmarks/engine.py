"""BLIP-base in its real size: the seeds' call, and ours, in one run.

Weights are seeded noise, so that nothing is downloaded; 20 tokens are forced, so that all write
as much. The seeds' call is transformers' processor and `generate`, in float32, one picture at a
time. Beside the times stands what the machine can do, by the same matrices in a plain product.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import BlipImageProcessorPil

from benchmarks import noise
from benchmarks.report import heading, keep
from captioner.images import fit
from captioner.options import Options
from worker.engines.blip import FastBlipEngine, Network, TorchNetwork
from worker.engines.blip_openvino import OpenVinoNetwork
from worker.engines.blip_reference import BlipEngine
from worker.engines.device import Placement

ROUNDS = 3
TOKENS = 20
BATCHES = (1, 8, 16)
OPTIONS = Options(min_new_tokens=TOKENS, max_new_tokens=TOKENS)
CPU = Placement(torch.device("cpu"), torch.float32, "the benchmark")
VISION_GFLOP = 2 * 577 * 768 * 768 * 12 * 12 / 1e9 + 4 * 577 * 577 * 768 * 12 / 1e9
MEMORY_GFLOP = 2 * 577 * 768 * 768 * 24 / 1e9
STEP_WEIGHTS = 12 * (6 * 768 * 768 + 2 * 768 * 3072) + 768 * 30_524
"""Weights that each token reads: those of the layers but the keys and values of pictures; the head.
"""


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
    for _ in range(ROUNDS):
        for runner in runners:
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


def _report(times: dict[tuple[str, int], float], nets: dict[str, Network]) -> str:
    base = times["the seeds' call", 1]
    lines = [f"{'':20} {'batch':>5} {'s per picture':>14} {'times as fast':>14}"]
    lines += [
        f"{name:20} {size:>5} {seconds:>14.3f} {base / seconds:>14.2f}"
        for (name, size), seconds in times.items()
    ]
    peaks = {"float32": gflops(torch.float32), "bfloat16": gflops(torch.bfloat16)}
    read = gigabytes_per_second()
    lines += ["", f"matrix products: {peaks['float32']:.0f} GFLOP/s in float32, "
              f"{peaks['bfloat16']:.0f} in bfloat16; memory: {read:.0f} GB/s", ""]  # fmt: skip
    for name, net in nets.items():
        look, step = stages(net)
        dtype = name.split()[1]
        width = 4 if dtype == "float32" else 2
        done = (VISION_GFLOP + MEMORY_GFLOP) / look
        lines.append(
            f"{name:20} looking {look:.3f} s per picture, {done:.0f} GFLOP/s, "
            f"{done / peaks[dtype]:.0%} of the product; a step of 8 {step * 1e3:.1f} ms, "
            f"{STEP_WEIGHTS * width / step / 1e9:.0f} GB/s of weights, "
            f"{STEP_WEIGHTS * width / step / 1e9 / read:.0%} of reading"
        )
    settings: dict[str, object] = {
        "tokens": TOKENS, "rounds": ROUNDS, "input": "480x640", "threads": torch.get_num_threads()
    }  # fmt: skip
    return heading("BLIP-base by itself", settings) + "\n".join(lines)
