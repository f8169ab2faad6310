"""Chat models: they are shown a picture and asked a question, and the answer is the caption.

How a chat is written down is told in `chat_text`, and which networks there are in `intern_vlm` and
`gemma`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from captioner.images import Resampling
from captioner.options import PLAIN, Options
from worker.engines.answers import Frame, answers, ends_of, places_of
from worker.engines.chat_text import ChatText
from worker.engines.device import Placement
from worker.engines.loading import image_processor
from worker.engines.preprocessing import pixel_values
from worker.engines.prompts import ANSWER_TOKENS, Prompt, prompt_for
from worker.engines.protocol import Caption, Pixels, Stopped
from worker.engines.trouble import translated
from worker.engines.weights import Weights


class ChatEngine:
    """Answers equal token by token to the model's own processor and `generate`.

    `images` is the image processor, and `whole` what it must be told to take a picture as one, not
    cut into tiles.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        images: Any,
        *,
        whole: Mapping[str, bool],
        placement: Placement,
        revision: str,
        max_new_tokens: int,
    ) -> None:
        self._model = model
        self._text = ChatText(processor)
        self._tokenizer = processor.tokenizer
        self._images = images
        self._whole = whole
        self._placement = placement
        self._max_new_tokens = max_new_tokens
        self._places = places_of(model.config.text_config)
        self._ends = ends_of(model.generation_config)
        self.revision = revision
        self.image_size = (int(images.size["height"]), int(images.size["width"]))
        self.resampling = Resampling(images.resample)

    @translated()
    @torch.inference_mode()
    def caption(
        self,
        pictures: Sequence[Pixels],
        options: Options = PLAIN,
        *,
        stopped: Stopped | None = None,
    ) -> list[Caption | None]:
        """One answer per picture, or per collection of pictures, without the question. A collection
        of none is a question in words alone.

        After each token it is asked which captions are `stopped`; those end there, as `None`.
        """
        inputs = self._inputs(pictures, prompt_for(options))
        given = inputs["input_ids"].shape[1]
        return answers(
            self._generate,
            inputs,
            options,
            frame=Frame(
                given=given,
                kept=given,
                ends=self._ends,
                tokenizer=self._tokenizer,
                places=self._places,
            ),
            max_new_tokens=self._max_new_tokens,
            stopped=stopped,
        )

    def _inputs(self, pictures: Sequence[Pixels], prompt: Prompt) -> dict[str, torch.Tensor]:
        # A batch has one question, so its rows are of one length, and nothing is padded.
        collected = np.stack([p if p.ndim == 4 else p[None] for p in pictures])  # (B, N, H, W, 3)
        rows, each = collected.shape[:2]
        row = self._text.inputs(prompt, pictures=each)
        device = self._placement.device
        inputs = {name: torch.tensor([ids] * rows, device=device) for name, ids in row.items()}
        if not each:  # a question in words alone
            return inputs
        flat = list(collected.reshape(-1, *collected.shape[2:]))
        values = pixel_values(self._images, flat, self._placement, **self._whole)
        return {**inputs, "pixel_values": values.reshape(rows, each, *values.shape[1:])}

    def _generate(self, *, pixel_values: torch.Tensor | None = None, **more: Any) -> Any:
        if pixel_values is None:
            return self._model.generate(**more)
        # (B, N, 3, H, W) -> (B * N, 3, H, W): the pictures in the order of their places in the text
        return self._model.generate(pixel_values=pixel_values.flatten(0, 1), **more)


def chat_engine(
    model: Any,
    processor: Any,
    weights: Weights,
    *,
    whole: Mapping[str, bool],
    placement: Placement,
    max_new_tokens: int,
) -> ChatEngine:
    """The engine of a network and its processor. ValueError: nobody wrote how to chat with it."""
    return ChatEngine(
        model,
        processor,
        image_processor(weights.folder),
        whole=whole,
        placement=placement,
        revision=weights.revision,
        max_new_tokens=max(max_new_tokens, ANSWER_TOKENS),
    )
