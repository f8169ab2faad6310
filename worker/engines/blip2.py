"""BLIP-2: a few queries look at the picture, and a language model goes on from what they saw.

Li et al., "BLIP-2: Bootstrapping Language-Image Pre-training with Frozen Image Encoders and Large
Language Models", 2023 (arXiv:2301.12597). The network is transformers' own.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from transformers import AutoTokenizer, Blip2ForConditionalGeneration

from captioner.images import Resampling
from captioner.options import PLAIN, Options
from worker.engines.answers import Frame, answers, ends_of, places_of
from worker.engines.device import Placement
from worker.engines.loading import from_source, image_processor, network
from worker.engines.preprocessing import pixel_values
from worker.engines.protocol import Caption, Pixels, Stopped
from worker.engines.trouble import translated
from worker.engines.weights import Weights


class Blip2Engine:
    """Captions equal token by token to `Blip2ForConditionalGeneration.generate`."""

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
        self._ends = ends_of(model.language_model.generation_config)
        self._places = places_of(model.config.text_config)
        self._seen = int(model.config.num_query_tokens)
        self.revision = revision
        self.image_size = (int(processor.size["height"]), int(processor.size["width"]))
        self.resampling = Resampling(processor.resample)

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
        text = self._text(options.prompt, len(pictures))
        return answers(
            self._model.generate,
            {
                "pixel_values": pixel_values(self._processor, pictures, self._placement),
                "input_ids": text,
            },
            options,
            frame=Frame(
                given=text.shape[1],
                kept=self._seen,
                ends=self._ends,
                tokenizer=self._tokenizer,
                places=self._places,
            ),
            max_new_tokens=self._max_new_tokens,
            stopped=stopped,
        )

    def _text(self, prompt: str | None, rows: int) -> torch.Tensor:
        # (B, queries + T): places for what the queries saw, the token that begins a text, a prompt
        text = [self._model.config.text_config.bos_token_id]
        if prompt:
            # A prompt is words: what looks like a special token in it is not one.
            text = self._tokenizer(prompt, split_special_tokens=True).input_ids
        row = [self._model.config.image_token_id] * self._seen + text
        return torch.tensor([row] * rows, device=self._placement.device)


def load(source: str, *, revision: str, placement: Placement, max_new_tokens: int) -> Blip2Engine:
    """Load BLIP-2 from a hub id or a folder. Raises what `loading.from_source` does."""
    make = partial(build, placement=placement, max_new_tokens=max_new_tokens)
    return from_source(source, revision=revision, build=make)


def build(weights: Weights, *, placement: Placement, max_new_tokens: int) -> Blip2Engine:
    """The engine of the weights in a folder. ValueError: they are of another kind, or too old."""
    folder = weights.folder
    model = network(Blip2ForConditionalGeneration, folder, placement, model_type="blip-2")
    if model.config.image_token_id is None:
        raise ValueError("its config.json names no image_token_index, as newer copies of it do")
    return Blip2Engine(
        model,
        AutoTokenizer.from_pretrained(folder, trust_remote_code=False),
        image_processor(folder),
        placement=placement,
        revision=weights.revision,
        max_new_tokens=max_new_tokens,
    )
