"""The BLIP in training: what helps it to learn and is not in the saved folder.

A vision transformer that starts from nothing is slow to find shapes when captions are all it is
told. So three extra linear heads name the shape, the colour and the role in the caption at every
patch, which the drawing knows; they are thrown away afterwards.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import BlipConfig, BlipForConditionalGeneration

from scripts.scene_batches import COLOUR_NAMES, ROLE_NAMES, SHAPE_NAMES, Batch
from scripts.scene_checkpoint import PAD

MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """The processor's rescale and normalise of uint8 pixels (B, 3, side, side)."""
    return (pixels.float() / 255 - MEAN) / STD


class Student(torch.nn.Module):
    """The BLIP, and the three heads that training throws away."""

    def __init__(self, config: BlipConfig, width: int) -> None:
        super().__init__()
        self.blip: Any = BlipForConditionalGeneration(config)
        names = (SHAPE_NAMES, COLOUR_NAMES, ROLE_NAMES)
        self.heads = torch.nn.ModuleList(torch.nn.Linear(width, len(kind)) for kind in names)

    def forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """The caption loss and the patch loss of one batch."""
        out = self.blip(
            pixel_values=normalised(batch.pixels),
            input_ids=batch.ids,
            attention_mask=(batch.ids != PAD).long(),
            labels=batch.labels,
        )
        patches = out.last_hidden_state[:, 1:]  # (B, P, D), without the class token
        maps = (batch.shapes, batch.colours, batch.roles)
        losses = [
            cross_entropy(head(patches).flatten(0, 1), right.flatten())
            for head, right in zip(self.heads, maps, strict=True)
        ]
        return out.loss, torch.stack(losses).sum()


@torch.no_grad()
def give_places(embedding: torch.Tensor, *, size: float = 0.5) -> None:
    """Add smooth waves of x and y to the patches' position embedding (1, 1 + P, D), in place.

    "Left" and "above" are the last words that the model learns: from small random numbers alone it
    took 4,400 steps to begin. The waves are those of "Attention is all you need", for x and for y.
    """
    grid, width = math.isqrt(embedding.shape[1] - 1), embedding.shape[2]
    waves = torch.logspace(-2, 2, width // 4, base=2) * math.pi
    angles = torch.arange(grid)[:, None] / grid * waves  # (grid, D / 4)
    line = torch.cat((angles.sin(), angles.cos()), dim=1)  # (grid, D / 2)
    across, down = line.repeat(grid, 1), line.repeat_interleave(grid, 0)  # (P, D / 2)
    embedding[0, 1:] += size * torch.cat((across, down), dim=1)
