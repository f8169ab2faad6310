"""What BLIP's decoder remembers of a batch, at addresses that do not change."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

LENGTHS = (32, 64, 128, 256, 512)
"""Rooms for tokens. A caption is written in the shortest that holds it, and moves as it grows."""


class Caches:
    """Room for so many rows. Rows that no picture has are computed too, and never read."""

    def __init__(
        self,
        vision: Any,
        text: Any,
        *,
        rows: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        heads = text.num_attention_heads
        width = text.hidden_size // heads
        patches = (vision.image_size // vision.patch_size) ** 2 + 1
        count = 2 * text.num_hidden_layers
        size = (rows, vision.image_size, vision.image_size, 3)
        on_gpu = device.type == "cuda"
        self.rows = rows
        self.memory = [
            torch.zeros(rows, heads, patches, width, device=device, dtype=dtype)
            for _ in range(count)
        ]
        self.pasts: dict[int, list[Tensor]] = {}
        """By the length of the room. See `past`."""
        self.tokens = torch.zeros(rows, 1, device=device, dtype=torch.long)
        self.place = torch.zeros(1, device=device, dtype=torch.long)
        self.staging = torch.zeros(size, dtype=torch.uint8, pin_memory=on_gpu)
        self.pixels = torch.zeros(size, dtype=torch.uint8, device=device)

    def past(self, length: int) -> list[Tensor]:
        """The keys and values of the tokens in a room: made when it is first asked for, and then
        at the same addresses, so that what is recorded for the other rooms stays good.
        """
        if length not in self.pasts:
            rows, heads, _, width = self.memory[0].shape
            self.pasts[length] = [
                each.new_zeros(rows, heads, length, width) for each in self.memory
            ]
        return self.pasts[length]

    def enter(self, length: int, rows: int, *, from_: int) -> None:
        """Begin a room with what the first rows have in a shorter one; 0: with nothing."""
        for each in self.past(length):
            each[:rows].zero_()  # what an earlier batch left there may not even be finite
        if from_:
            for longer, shorter in zip(self.past(length), self.past(from_), strict=True):
                longer[:rows, :, :from_].copy_(shorter[:rows])

    def keep(self, index: Tensor, *, length: int) -> None:
        """Bring these rows to the front, with what they have in a room; 0: they have nothing."""
        for each in (*self.memory, *(self.past(length) if length else ())):
            each[: len(index)] = each[index]

    def take(self, old: "Caches", rows: int, *, length: int) -> None:
        """What another has in its first rows, and in a room, as `keep` has it."""
        mine, its = list(self.memory), list(old.memory)
        if length:
            mine, its = mine + self.past(length), its + old.past(length)
        for new, each in zip(mine, its, strict=True):
            new[:rows].copy_(each[:rows])


def fitting(sizes: Sequence[int], wanted: int) -> int:
    """The smallest that is enough. ValueError: none is."""
    for size in sizes:
        if size >= wanted:
            return size
    raise ValueError(f"there is no room for {wanted}: {sizes[-1]} is the most")
