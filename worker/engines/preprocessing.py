"""From a picture's levels to the numbers that a network takes."""

from collections.abc import Sequence
from typing import Any

import torch

from worker.engines.device import Placement
from worker.engines.protocol import Pixels


def pixel_values(
    processor: Any, pictures: Sequence[Pixels], placement: Placement, **more: bool
) -> torch.Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W), scaled and normalised by the model's own processor.

    They have their size already. `more` is what the processor must be told besides.
    """
    values = processor(
        list(pictures),
        do_resize=False,
        input_data_format="channels_last",
        return_tensors="pt",
        **more,
    ).pixel_values
    tensor: torch.Tensor = values.to(placement.device, placement.exact)
    return tensor
