"""BLIP: a picture goes through a vision tower, then a text decoder writes the caption.

Li et al., "BLIP: Bootstrapping Language-Image Pre-training", 2022 (arXiv:2201.12086). The network
is transformers' own; pictures arrive already resized, exactly as its image processor would do it.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from transformers import AutoTokenizer, BlipForConditionalGeneration, BlipImageProcessorPil

from captioner.images import Resampling
from captioner.options import PLAIN, Options
from worker.engines.answers import Frame, answers
from worker.engines.device import Placement
from worker.engines.loading import from_source, network
from worker.engines.protocol import Caption, Pixels, Stopped
from worker.engines.weights import Weights


class BlipEngine:
    """Captions equal token by token to `BlipForConditionalGeneration.generate`."""

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
        self._resampling = Resampling(processor.resample)

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) that the vision tower takes."""
        return self._image_size

    @property
    def resampling(self) -> Resampling:
        """The filter with which pictures are brought to that size."""
        return self._resampling

    @property
    def revision(self) -> str:
        """The commit of the hub repository, or a hash of the local weights."""
        return self._revision

    @property
    def out_of_memory(self) -> tuple[type[BaseException], ...]:
        """PyTorch's own exception on a GPU, Python's in main memory."""
        return (MemoryError, torch.OutOfMemoryError)

    @torch.inference_mode()
    def caption(
        self,
        pictures: Sequence[Pixels],
        options: Options = PLAIN,
        *,
        stopped: Stopped | None = None,
    ) -> list[Caption | None]:
        """One caption per picture. A prompt is the caption's beginning, and part of the answer.

        After each token it is asked which captions are `stopped`; those end there, as `None`.
        """
        prompt = self._prompt(options.prompt, len(pictures))
        # The network puts the first token itself, and takes the last of a prompt away.
        given = prompt["input_ids"].shape[1] - 1 if prompt else 1
        return answers(
            self._model.generate,
            {"pixel_values": self._pixel_values(pictures), **prompt},
            options,
            frame=Frame(given=given, kept=0, ends=self._ends, tokenizer=self._tokenizer),
            max_new_tokens=self._max_new_tokens,
            stopped=stopped,
        )

    def _prompt(self, prompt: str | None, rows: int) -> dict[str, torch.Tensor]:
        if not prompt:
            return {}
        # A prompt is words: what looks like a special token in it is not one.
        text = self._tokenizer([prompt] * rows, split_special_tokens=True, return_tensors="pt")
        return {
            "input_ids": text.input_ids.to(self._placement.device),
            "attention_mask": text.attention_mask.to(self._placement.device),
        }

    @property
    def _ends(self) -> frozenset[int]:
        return frozenset([self._model.config.text_config.sep_token_id])

    def _pixel_values(self, pictures: Sequence[Pixels]) -> torch.Tensor:
        # (B, H, W, 3) uint8 -> (B, 3, H, W), scaled and normalised by the model's own processor
        values = self._processor(
            list(pictures), do_resize=False, input_data_format="channels_last", return_tensors="pt"
        ).pixel_values
        tensor: torch.Tensor = values.to(self._placement.device, self._placement.dtype)
        return tensor


def load(source: str, *, revision: str, placement: Placement, max_new_tokens: int) -> BlipEngine:
    """Load BLIP from a hub id or a folder. Raises what `loading.from_source` does."""
    make = partial(build, placement=placement, max_new_tokens=max_new_tokens)
    return from_source(source, revision=revision, build=make)


def build(weights: Weights, *, placement: Placement, max_new_tokens: int) -> BlipEngine:
    """The engine of the weights in a folder."""
    folder = weights.folder
    return BlipEngine(
        network(BlipForConditionalGeneration, folder, placement, model_type="blip"),
        AutoTokenizer.from_pretrained(folder, trust_remote_code=False),
        BlipImageProcessorPil.from_pretrained(folder),
        placement=placement,
        revision=weights.revision,
        max_new_tokens=max_new_tokens,
    )
