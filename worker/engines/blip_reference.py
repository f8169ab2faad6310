"""BLIP: a picture goes through a vision tower, then a text decoder writes the caption.

Li et al., "BLIP: Bootstrapping Language-Image Pre-training", 2022 (arXiv:2201.12086). The network
is transformers' own; pictures arrive already resized, exactly as its image processor would do it.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch.nn.functional import pad
from transformers import AutoTokenizer, BlipForConditionalGeneration, BlipImageProcessorPil

from captioner.images import Resampling
from captioner.options import PLAIN, Options
from worker.engines.answers import Frame, answers, places_of, words
from worker.engines.device import Placement
from worker.engines.loading import from_source, network
from worker.engines.preprocessing import pixel_values
from worker.engines.protocol import Caption, Pixels, Stopped
from worker.engines.trouble import translated
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
        self.model = model
        self._tokenizer = tokenizer
        self.processor = processor
        self.placement = placement
        self.max_new_tokens = max_new_tokens
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

    @translated()
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
        prompt = self.prompt_ids(options.prompt)
        # `generate` cuts the last token off: there a tokenizer has put the end of the prompt.
        ids = pad(prompt, (0, 1), value=self.end).repeat(len(pictures), 1)
        return answers(
            self.model.generate,
            {
                "pixel_values": pixel_values(self.processor, pictures, self.placement),
                "input_ids": ids,
                "attention_mask": torch.ones_like(ids),
            },
            options,
            frame=Frame(
                given=prompt.shape[1],
                kept=0,
                ends=frozenset([self.end]),
                tokenizer=self._tokenizer,
                places=self.places,
            ),
            max_new_tokens=self.max_new_tokens,
            stopped=stopped,
        )

    def prompt_ids(self, prompt: str | None) -> torch.Tensor:
        """(1, T) the tokens that a caption begins with, on the engine's device."""
        ids = [self.model.config.text_config.bos_token_id]
        if prompt:
            # A prompt is words: what looks like a special token in it is not one.
            ids += self._tokenizer(prompt, split_special_tokens=True).input_ids[1:-1]
        return torch.tensor([ids], device=self.placement.device)

    @property
    def places(self) -> int | None:
        """Tokens, those of a prompt among them, that a caption can have."""
        return places_of(self.model.config.text_config)

    @property
    def end(self) -> int:
        """The token that ends a caption."""
        token: int = self.model.config.text_config.sep_token_id
        return token

    def read(self, tokens: Sequence[int], *, score: float) -> Caption:
        """The caption that tokens stand for."""
        return Caption(words(tokens, self._tokenizer), tuple(tokens), score)


def load(source: str, *, revision: str, placement: Placement, max_new_tokens: int) -> BlipEngine:
    """Load it from a hub id or a folder, as it is here. Raises what `loading.from_source` does."""
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
