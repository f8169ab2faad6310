"""BLIP: a picture goes through a vision tower, then a text decoder writes the caption.

Li et al., "BLIP: Bootstrapping Language-Image Pre-training", 2022 (arXiv:2201.12086). The network
is transformers' own; pictures arrive already resized, exactly as its image processor would do it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
)
from transformers.utils.logging import disable_progress_bar

from captioner.errors import ModelUnavailable
from worker.engines.device import Placement
from worker.engines.protocol import Caption, Pixels
from worker.engines.weights import fetch


class BlipEngine:
    """Greedy captions, equal token by token to `BlipForConditionalGeneration.generate`."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        processor: Any,
        *,
        placement: Placement,
        revision: str,
        max_new_tokens: int,
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._processor = processor
        self._placement = placement
        self._max_new_tokens = max_new_tokens
        self._revision = revision
        size = processor.size
        self._image_size = (int(size["height"]), int(size["width"]))

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) that the vision tower takes."""
        return self._image_size

    @property
    def revision(self) -> str:
        """The commit of the hub repository, or a hash of the local weights."""
        return self._revision

    @torch.inference_mode()
    def caption(self, pictures: Sequence[Pixels], *, prompt: str | None) -> list[Caption]:
        """One caption per picture. A prompt is the caption's beginning, and part of the answer."""
        inputs: dict[str, Any] = {"pixel_values": self._pixel_values(pictures)}
        if prompt:
            # A prompt is words: what looks like a special token in it is not one.
            text = self._tokenizer(
                [prompt] * len(pictures), split_special_tokens=True, return_tensors="pt"
            )
            inputs["input_ids"] = text.input_ids.to(self._placement.device)
            inputs["attention_mask"] = text.attention_mask.to(self._placement.device)
        rows = self._model.generate(
            **inputs, max_new_tokens=self._max_new_tokens, do_sample=False, num_beams=1
        )
        return [self._read(row) for row in rows.tolist()]

    def _pixel_values(self, pictures: Sequence[Pixels]) -> torch.Tensor:
        # (B, H, W, 3) uint8 -> (B, 3, H, W), scaled and normalised by the model's own processor
        values = self._processor(
            list(pictures), do_resize=False, input_data_format="channels_last", return_tensors="pt"
        ).pixel_values
        tensor: torch.Tensor = values.to(self._placement.device, self._placement.dtype)
        return tensor

    def _read(self, row: list[int]) -> Caption:
        end = self._model.config.text_config.sep_token_id
        tokens = row[: row.index(end) + 1] if end in row else row  # what follows is padding
        return Caption(
            self._tokenizer.decode(tokens, skip_special_tokens=True).strip(), tuple(tokens)
        )


def load(source: str, *, revision: str, placement: Placement, max_new_tokens: int) -> BlipEngine:
    """Load BLIP from a hub id or a folder in the hub's format.

    Nothing in the repository is executed: weights are safetensors, or pickles read through
    `weights_only`, and remote code is refused. Raises `ModelUnavailable` with the cause.
    """
    disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        weights = fetch(source, revision=revision)
        processor = BlipImageProcessorPil.from_pretrained(weights.folder)
        tokenizer = AutoTokenizer.from_pretrained(weights.folder, trust_remote_code=False)
        model = _network(weights.folder, placement)
    except ModelUnavailable:
        raise
    except Exception as error:
        raise ModelUnavailable(_cause(source, error)) from error
    return BlipEngine(
        model,
        tokenizer,
        processor,
        placement=placement,
        revision=weights.revision,
        max_new_tokens=max_new_tokens,
    )


def _network(folder: Path, placement: Placement) -> Any:
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    if config.model_type != "blip":
        raise ValueError(f"it holds a {config.model_type!r} network, and this engine runs 'blip'")
    loaded: Any = BlipForConditionalGeneration.from_pretrained(
        folder, dtype=placement.dtype, trust_remote_code=False, output_loading_info=True
    )
    model, info = loaded
    if info["missing_keys"]:  # transformers would fill them with noise and only warn
        raise ValueError(f"its weights lack {sorted(info['missing_keys'])[:3]}")
    return model.to(placement.device).eval()


def warm_up(engine: BlipEngine) -> None:
    """Caption one grey picture, so that the first real one does not pay for set-up."""
    height, width = engine.image_size
    grey = np.full((height, width, 3), 128, dtype=np.uint8)
    engine.caption([grey], prompt=None)


def _cause(source: str, error: Exception) -> str:
    first_line = (str(error).strip().splitlines() or [""])[0]
    return f"{source} cannot be loaded: {type(error).__name__}: {first_line}"[:500]
