"""BLIP-base in its real size on one GPU, from decoded pictures: ours, and `generate`, in one run.

`python -m benchmarks gpu [--short] [--device=cpu] [--profile]` needs torch, transformers, numpy and
pillow alone. Weights are seeded noise, and 20 tokens are forced. Then what faster number formats
change on the scenes that the shipped checkpoint knows.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from transformers import BlipForConditionalGeneration

from benchmarks import noise
from benchmarks.gpu_work import (
    SCENES,
    Generate,
    Lane,
    Work,
    best,
    copied_bytes,
    finished,
    matmul_flops,
    pictures,
)
from benchmarks.report import heading, keep
from scripts.scenes import draw, stream

TOKENS = 20
MOST_LOST = 0.005
"""Of exact captions, by a faster number format."""
FORMATS = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    config: dict[str, Any]
    theirs: tuple[int, ...]
    """Batches of `generate`."""
    ours: tuple[tuple[int, int], ...]
    """Lanes and batches of ours."""
    seconds: float
    singles: int
    scenes: int
    side: int
    """Of the squares that are multiplied for the peak."""
    copied: int


FULL = Plan(
    config=noise.BASE,
    theirs=(1, 64),
    ours=((1, 1), (1, 64), (1, 256), (2, 64), (2, 128), (2, 256)),
    seconds=8,
    singles=100,
    scenes=2_000,
    side=8192,
    copied=4 * 2**30,
)
SMALL = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
SMALL |= {"num_attention_heads": 4}
SHORT = Plan(
    config={
        "vision_config": {**SMALL, "image_size": 64},
        "text_config": {**SMALL, "encoder_hidden_size": 64},
    },
    theirs=(1, 2),
    ours=((1, 1), (1, 4), (2, 2)),
    seconds=0.2,
    singles=4,
    scenes=24,
    side=128,
    copied=2**20,
)

Caption = Callable[[Sequence[np.ndarray]], object]


def rate(captions: Sequence[Caption], given: Sequence[np.ndarray], seconds: float) -> float:
    """Pictures per second, as many batches side by side as there are `captions`."""
    done = [0] * len(captions)
    for caption in captions:  # one after the other: this is when graphs are recorded
        caption(given)
        caption(given)
    started = time.perf_counter()

    def work(number: int) -> None:
        while time.perf_counter() - started < seconds:
            captions[number](given)
            done[number] += len(given)

    with ThreadPoolExecutor(len(captions)) as pool:
        list(pool.map(work, range(len(captions))))
    return sum(done) / (time.perf_counter() - started)


def forced(captioner: Lane | Generate) -> Caption:
    """Captions of 20 tokens, whatever they say."""
    return lambda given: captioner.caption(given, longest=TOKENS, shortest=TOKENS)


def speeds(model: Any, plan: Plan, device: torch.device, dtype: torch.dtype) -> list[str]:
    """Throughput and latency, in turns of a few seconds."""
    side = model.config.vision_config.image_size
    lanes = [forced(Lane(model, device=device, dtype=dtype)) for _ in range(2)]
    theirs = forced(Generate(model, device=device, dtype=dtype))
    given = pictures(max(batch for _, batch in plan.ours), side)
    found: dict[str, float] = {}
    for batch in plan.theirs:
        found[f"generate, batch {batch}"] = rate([theirs], given[:batch], plan.seconds)
    for count, batch in plan.ours:
        name = f"ours, batch {batch}" + (f", {count} side by side" if count > 1 else "")
        found[name] = rate(lanes[:count], given[:batch], plan.seconds)
    bases = [found[f"generate, batch {batch}"] for batch in plan.theirs]
    flop = Work.of(model.config)
    each = flop.look_flop + TOKENS * flop.step_flop
    peak = matmul_flops(plan.side, device, dtype)
    lines = [f"{'':30} {'images/s':>9} " + " ".join(f"{f'x batch {b}':>11}" for b in plan.theirs)
             + f" {'of the peak':>12}"]  # fmt: skip
    lines += [
        f"{name:30} {speed:>9.1f} "
        + " ".join(f"{speed / base:>11.2f}" for base in bases)
        + f" {speed * each / peak:>12.1%}"
        for name, speed in found.items()
    ]
    lines += [
        "",
        f"a plain product: {peak / 1e12:.1f} TFLOP/s; a picture with {TOKENS} tokens needs "
        f"{each / 1e9:.1f} GFLOP: {peak / each:.0f} images/s at that peak",
    ]
    return [*lines, *(waits(name, each, given[:1], plan.singles) for name, each in
                      (("generate", theirs), ("ours", lanes[0])))]  # fmt: skip


def waits(name: str, caption: Caption, given: Sequence[np.ndarray], count: int) -> str:
    """How long single pictures take, one after the other."""
    found = []
    for _ in range(count + 1):
        started = time.perf_counter()
        caption(given)
        found.append((time.perf_counter() - started) * 1e3)
    kept = sorted(found[1:])
    p99 = kept[min(len(kept) - 1, int(0.99 * len(kept)))]
    return f"one picture, {name}: p50 {statistics.median(kept):.2f} ms, p99 {p99:.2f} ms"


@torch.inference_mode()
def stages(model: Any, plan: Plan, device: torch.device, dtype: torch.dtype) -> list[str]:
    """Looking and stepping by themselves, against what the device can do."""
    batch = max(batch for _, batch in plan.ours)
    lane = Lane(model, device=device, dtype=dtype)
    given = pictures(batch, model.config.vision_config.image_size)
    token = torch.zeros(batch, 1, dtype=torch.long, device=device)
    work, width = Work.of(model.config), torch.finfo(dtype).bits // 8
    peak = matmul_flops(plan.side, device, dtype)
    copied = copied_bytes(plan.copied, device)
    with lane.here():
        look = best(lambda: lane.network.look_at(given), device, rounds=5)

        def twenty() -> None:
            writer = lane.network.look_at(given)
            for _ in range(TOKENS):
                writer.step(token)

        step = (best(twenty, device, rounds=5) - look) / TOKENS
    read = (work.memory_numbers * batch + work.weight_numbers) * width
    looking = work.look_flop * batch / look
    return [
        "",
        f"batch of {batch}: looking, copies and all, {look * 1e3:.2f} ms, "
        f"{looking / 1e12:.1f} TFLOP/s, {looking / peak:.1%} of the plain product",
        f"batch of {batch}: a step {step * 1e3:.3f} ms, {read / step / 1e9:.0f} GB/s of memory and "
        f"weights, {read / step / copied:.1%} of a copy ({copied / 1e9:.0f} GB/s)",
    ]


def parity(plan: Plan, device: torch.device) -> list[str]:
    """Exact captions of scenes in each number format, and whether float32 equals `generate`."""
    shown = list(islice(stream("benchmarks/gpu"), plan.scenes))
    words = (SCENES / "vocab.txt").read_text().split("\n")
    drawn = [np.array(draw(scene, width=96, height=96)) for scene in shown]
    lines, exact = [""], {}
    for dtype in FORMATS:
        model: Any = BlipForConditionalGeneration.from_pretrained(SCENES, dtype=dtype)
        model = model.to(device).eval()
        lane = Lane(model, device=device, dtype=dtype)
        captions: list[str] = []
        for start in range(0, len(drawn), 64):
            rows = lane.caption(drawn[start : start + 64], longest=TOKENS, shortest=0)
            captions += [_text(row.tokens, words) for row in rows]
        exact[dtype] = statistics.mean(
            caption == scene.caption for caption, scene in zip(captions, shown, strict=True)
        )
        if dtype == torch.float32:
            theirs = Generate(model, device=device, dtype=dtype)
            asked = theirs.caption(drawn[:64], longest=TOKENS, shortest=0)
            same = [_text(row, words) for row in asked] == captions[: len(asked)]
            lines.append(f"float32 equals generate on {len(asked)} scenes: {same}")
            assert same, "float32 differs from generate"
        lost = exact[torch.float32] - exact[dtype]
        lines.append(f"{_named(dtype)}: {exact[dtype]:.2%} of {plan.scenes} scenes exact, "
                     f"{lost * 100:+.2f} points lost")  # fmt: skip
        assert lost <= MOST_LOST or plan is SHORT, lines[-1]
    return lines


def _text(tokens: Sequence[int], words: Sequence[str]) -> str:
    return " ".join(words[token] for token in tokens if not words[token].startswith("["))


def _named(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def profile(model: Any, plan: Plan, device: torch.device, dtype: torch.dtype) -> list[str]:
    """Where the device's time goes in two batches."""
    lane = forced(Lane(model, device=device, dtype=dtype))
    given = pictures(max(b for _, b in plan.ours), model.config.vision_config.image_size)
    lane(given)
    with torch.profiler.profile() as watched:
        lane(given)
        finished(device)
    by = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    return ["", watched.key_averages().table(sort_by=by, row_limit=20, max_name_column_width=60)]


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", type=torch.device, default="cuda")
    device, dtype = parser.parse_known_args()[0].device, torch.bfloat16
    if device.type == "cuda" and not torch.cuda.is_available():
        print("There is no GPU here: nothing was measured.")
        return
    plan = SHORT if "--short" in sys.argv else FULL
    model = noise.network(plan.config).to(device, dtype)
    lines = []
    for part in (speeds, stages, *([profile] if "--profile" in sys.argv else [])):
        lines += part(model, plan, device, dtype)
        print("\n".join(lines[-3:]), file=sys.stderr, flush=True)
    lines += parity(plan, device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    settings: dict[str, object] = {
        "device": name, "dtype": _named(dtype), "tokens": TOKENS, "seconds": plan.seconds
    }  # fmt: skip
    keep("gpu", heading("BLIP-base on a GPU", settings, more=()) + "\n".join(lines))
