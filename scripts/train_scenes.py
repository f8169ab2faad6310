"""Train the small BLIP that ships with the project on drawn scenes, from scratch, on a CPU."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch.utils.data import DataLoader

from scripts import scene_card
from scripts import scene_checkpoint as checkpoint
from scripts.scene_batches import Batch, SceneBatches
from scripts.scene_student import Student, give_places


def arguments() -> argparse.Namespace:
    """The command line; the default sizes are those of the checkpoint that ships."""
    parser, flag = argparse.ArgumentParser(description=__doc__), argparse.BooleanOptionalAction
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint")
    parser.add_argument("--start", type=Path, help="checkpoint whose weights to go on from")
    parser.add_argument("--places", action=flag, default=True, help="give waves of place at first")
    parser.add_argument("--seed", type=int, default=0, help="weights and training scenes")
    parser.add_argument("--minutes", type=float, default=50, help="stop after this long")
    parser.add_argument("--steps", type=int, default=9000, help="stop after this many batches")
    parser.add_argument("--batch", type=int, default=64, help="scenes in a batch")
    parser.add_argument("--rate", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument("--warmup", type=float, default=0.03, help="share of the run up to it")
    parser.add_argument("--side", type=int, default=96, help="picture side, in pixels")
    parser.add_argument("--patch", type=int, default=12, help="patch side, in pixels")
    parser.add_argument("--width", type=int, default=192, help="hidden size")
    parser.add_argument("--heads", type=int, default=6, help="attention heads")
    parser.add_argument("--vision-layers", type=int, default=6, help="layers that see")
    parser.add_argument("--text-layers", type=int, default=2, help="layers that write")
    parser.add_argument("--threads", type=int, default=2, help="threads of the training loop")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw")
    parser.add_argument("--bf16", action=flag, default=True, help="compute in bfloat16")
    parser.add_argument("--compile", action=flag, default=True, help="needs a C++ compiler")
    parser.add_argument("--every", type=int, default=1500, help="batches between evaluations")
    return parser.parse_args()


def rate_share(progress: float, warmup: float) -> float:
    """Share of the highest rate: a straight warm-up, then half a cosine down to one percent."""
    if progress < warmup:
        return progress / warmup
    rest = min(1.0, (progress - warmup) / (1 - warmup))
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * rest))


def optimiser(model: torch.nn.Module, rate: float) -> torch.optim.AdamW:
    """AdamW; only matrices decay, never biases and norms."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": 0.02}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=True)


def batches(args: argparse.Namespace) -> Iterator[Batch]:
    """Training batches, drawn ahead by other processes."""
    data = SceneBatches(
        seed=args.seed,
        batch=args.batch,
        side=args.side,
        patch=args.patch,
        words=checkpoint.words(),
    )
    return iter(DataLoader(data, batch_size=None, num_workers=args.workers, prefetch_factor=6))


def student(args: argparse.Namespace) -> Student:
    """Untrained weights of the size that the command line asks for."""
    config = checkpoint.config(
        side=args.side,
        patch=args.patch,
        width=args.width,
        heads=args.heads,
        vision_layers=args.vision_layers,
        text_layers=args.text_layers,
    )
    made = Student(config, args.width)
    places = made.blip.vision_model.embeddings.position_embedding
    if args.start:
        made.blip.load_state_dict(checkpoint.load(args.start)[1].state_dict())
    if args.places:
        give_places(places)
    print(f"{sum(p.numel() for p in made.blip.parameters()):,} parameters", flush=True)
    if args.compile:
        made.blip.vision_model.compile()
        made.blip.text_decoder.compile()
    return made


def train(args: argparse.Namespace) -> None:
    """Run the steps, log as they go, and leave a usable folder at each evaluation."""
    model = student(args)
    adam, started, log = optimiser(model, args.rate), time.monotonic(), Log()
    for step, batch in zip(range(1, args.steps + 1), batches(args), strict=False):
        minutes = (time.monotonic() - started) / 60
        progress = max(step / args.steps, minutes / args.minutes)
        for group in adam.param_groups:
            group["lr"] = args.rate * rate_share(progress, args.warmup)
        log.add(step, minutes, *learn(model, adam, batch, bf16=args.bf16))
        if step % args.every == 0:
            report(model.blip, args.out, 300)
        if minutes >= args.minutes:
            break
    checkpoint.save(model.blip, args.out)
    run = f"seed {args.seed}, {step:,} steps, {minutes:.0f} minutes"
    how = f"One run of `python -m scripts.train_scenes`: {run}."
    print(scene_card.write(args.out, how=how, batch=args.batch))


def learn(
    model: Student, adam: torch.optim.Optimizer, batch: Batch, *, bf16: bool
) -> tuple[float, float]:
    """Take one step; the caption loss and the patch loss before it."""
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        caption, patch = model(batch)
    adam.zero_grad()
    (caption + patch).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    adam.step()
    return caption.item(), patch.item()


class Log:
    """Mean losses, printed every hundred steps."""

    def __init__(self) -> None:
        self.captions: list[float] = []
        self.patches: list[float] = []

    def add(self, step: int, minutes: float, caption: float, patch: float) -> None:
        """Take one step's losses in."""
        self.captions.append(caption)
        self.patches.append(patch)
        if step % 100 == 0:
            means = f"caption {fmean(self.captions):.4f} patch {fmean(self.patches):.4f}"
            print(f"step {step} minute {minutes:.1f} {means}", flush=True)
            self.captions, self.patches = [], []


def report(model: Any, folder: Path, count: int) -> None:
    """Save, reload and measure: what is printed is what the folder really does."""
    checkpoint.save(model, folder)
    print(checkpoint.score(folder, count), flush=True)


def main() -> None:
    """Train as the command line says."""
    args = arguments()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    train(args)


if __name__ == "__main__":
    main()
