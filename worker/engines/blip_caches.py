"""What BLIP's decoder remembers of a batch, at addresses that do not change."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

LENGTHS = (32, 64, 128, 256, 512)
"""Tokens that there is room for: the graph of a step reads the shortest room that holds them."""


class Caches:
    """Room for so many rows. Rows that no picture has are computed too, and never read."""

    def __init__(
        self,
        vision: Any,
        text: Any,
        *,
        rows: int,
        length: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        heads = text.num_attention_heads
        width = text.hidden_size // heads
        patches = (vision.image_size // vision.patch_size) ** 2 + 1
        count = 2 * text.num_hidden_layers
        size = (rows, vision.image_size, vision.image_size, 3)
        on_gpu = device.type == "cuda"
        self.rows, self.length = rows, length
        self.memory = [
            torch.zeros(rows, heads, patches, width, device=device, dtype=dtype)
            for _ in range(count)
        ]
        self.past = [
            torch.zeros(rows, heads, length, width, device=device, dtype=dtype)
            for _ in range(count)
        ]
        self.tokens = torch.zeros(rows, 1, device=device, dtype=torch.long)
        self.place = torch.zeros(1, device=device, dtype=torch.long)
        self.staging = torch.zeros(size, dtype=torch.uint8, pin_memory=on_gpu)
        self.pixels = torch.zeros(size, dtype=torch.uint8, device=device)

    def keep(self, index: Tensor) -> None:
        """Bring these rows to the front."""
        for each in (*self.memory, *self.past):
            each[: len(index)] = each[index]

    def take(self, old: "Caches", rows: int) -> None:
        """What another has in its first rows."""
        for mine, its in zip((*self.memory, *self.past), (*old.memory, *old.past), strict=True):
            mine[:rows, :, : its.shape[2]] = its[:rows]


def fitting(sizes: Sequence[int], wanted: int) -> int:
    """The smallest that is enough. ValueError: none is."""
    for size in sizes:
        if size >= wanted:
            return size
    raise ValueError(f"there is no room for {wanted}: {sizes[-1]} is the most")
