"""What `benchmarks.gpu` measures with: captions of ours and of `generate`, and what a GPU can do.

Only torch, transformers, numpy and pillow are needed.
"""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from worker.engines.blip_cuda import StaticNetwork
from worker.engines.decoding import Bounds, Row, write

SCENES = Path(__file__).parent.parent / "captioner" / "checkpoints" / "scenes"


def levels(folder: Path = SCENES) -> Tensor:
    """(256, 3): what BLIP's image processor makes of each level of each channel."""
    config = json.loads((folder / "preprocessor_config.json").read_text())
    ramp = np.arange(256, dtype=np.float32)[:, None] * np.float32(config["rescale_factor"])
    mean, std = (np.array(config[name], np.float32) for name in ("image_mean", "image_std"))
    return torch.from_numpy((ramp - mean) / std)


def pictures(count: int, side: int) -> list[np.ndarray]:
    """Decoded, and in the size that the tower takes: (side, side, 3) uint8 of noise."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for _ in range(count)]


def finished(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Lane:
    """Our engine's loop on a stream of its own. Lanes share the weights of a model."""

    def __init__(self, model: Any, *, device: torch.device, dtype: torch.dtype) -> None:
        self.network = StaticNetwork(model, levels=levels(), device=device, dtype=dtype)
        self.device = device
        text = model.config.text_config
        self._start, self._end = text.bos_token_id, text.sep_token_id
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    @torch.inference_mode()
    def caption(self, given: Sequence[np.ndarray], *, longest: int, shortest: int) -> list[Row]:
        """The rows of tokens that were written of each."""
        with self.here():
            writer = self.network.look_at(given)
            prompts = torch.full((len(given), 1), self._start, device=self.device)
            return write(writer, prompts, Bounds(self._end, longest, shortest))

    def here(self) -> AbstractContextManager[Any]:
        """Its stream, for the length of the block."""
        return torch.cuda.stream(self._stream) if self._stream else nullcontext()


class Generate:
    """transformers' `generate`, on the same pixel values, which the device makes too."""

    def __init__(self, model: Any, *, device: torch.device, dtype: torch.dtype) -> None:
        self._model, self._device = model, device
        self._levels = levels().T.to(device, dtype).flatten()
        self._offsets = torch.arange(0, 768, 256, device=device).view(3, 1, 1)

    @torch.inference_mode()
    def caption(self, given: Sequence[np.ndarray], *, longest: int, shortest: int) -> Any:
        """(B, T) tokens."""
        sent = torch.from_numpy(np.stack(given)).to(self._device)
        values = self._levels.take(sent.permute(0, 3, 1, 2).long() + self._offsets)
        made = self._model.generate(
            pixel_values=values, max_new_tokens=longest, min_new_tokens=shortest
        )
        return made.tolist()


@dataclass(frozen=True)
class Work:
    """What a network must do at the least."""

    look_flop: float
    """For each picture: vision tower, and the keys and values of its memory."""
    step_flop: float
    """For each token of each picture."""
    memory_numbers: float
    """That each step reads of each picture."""
    weight_numbers: float
    """That each step reads once for its batch."""

    @classmethod
    def of(cls, config: Any) -> "Work":
        """By the sizes of its layers; a product of n by m by k is 2 n m k."""
        seeing, text = config.vision_config, config.text_config
        patches = (seeing.image_size // seeing.patch_size) ** 2 + 1
        wide, deep, inner = seeing.hidden_size, seeing.num_hidden_layers, seeing.intermediate_size
        tower = 2 * patches * wide * (4 * wide + 2 * inner) + 4 * patches**2 * wide
        first = 2 * patches * wide * 3 * seeing.patch_size**2
        width, layers = text.hidden_size, text.num_hidden_layers
        kept = 2 * layers * patches * width
        weights = layers * (6 * width**2 + 2 * width * text.intermediate_size)
        weights += width**2 + width * text.vocab_size
        return cls(
            look_flop=tower * deep + first + 2 * kept * wide,
            step_flop=2 * weights + 2 * kept,
            memory_numbers=kept,
            weight_numbers=weights,
        )


def best(run: Callable[[], object], device: torch.device, *, rounds: int) -> float:
    """Least seconds of a few, after one that is not counted."""
    found = []
    for _ in range(rounds + 1):
        finished(device)
        started = time.perf_counter()
        run()
        finished(device)
        found.append(time.perf_counter() - started)
    return min(found[1:])


def matmul_flops(side: int, device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a plain product of random squares."""
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))

    def ten() -> None:
        for _ in range(10):
            torch.matmul(a, b)

    return 10 * 2 * side**3 / best(ten, device, rounds=5)


def copied_bytes(count: int, device: torch.device) -> float:
    """Bytes per second of a copy on the device, read and written."""
    here, there = (torch.ones(count, dtype=torch.uint8, device=device) for _ in range(2))
    return 2 * count / best(lambda: there.copy_(here), device, rounds=5)
