"""Chat models: they are shown a picture and asked a question, and the answer is the caption.

How a chat is written down (its template, where the picture goes, special tokens) is the business
of the model's own processor. Which networks there are is told in `intern_vlm` and `gemma`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from captioner.images import Resampling
from captioner.options import PLAIN, Options
from worker.engines.answers import Frame, answers, ends_of
from worker.engines.device import Placement
from worker.engines.loading import image_processor
from worker.engines.prompts import Prompt, prompt_for
from worker.engines.protocol import Caption, Pixels, Stopped
from worker.engines.weights import Weights

ANSWER_TOKENS = 192
"""Tokens that an answer may have unless the request says otherwise: a paragraph."""


class ChatEngine:
    """Answers equal token by token to the model's own processor and `generate`.

    `whole`: what the processor must be told to take a picture as one, not cut into tiles.
    """

    out_of_memory: tuple[type[BaseException], ...] = (MemoryError, torch.OutOfMemoryError)

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        whole: Mapping[str, bool],
        placement: Placement,
        revision: str,
        max_new_tokens: int,
    ) -> None:
        self._model = model
        self._processor = processor
        self._how = {
            "text_kwargs": {"padding": True, "padding_side": "left"},
            "images_kwargs": {"do_resize": False, "input_data_format": "channels_last", **whole},
        }
        self._placement = placement
        self._max_new_tokens = max_new_tokens
        self._ends = ends_of(model.generation_config)
        size = processor.image_processor.size
        self.revision = revision
        self.image_size = (int(size["height"]), int(size["width"]))
        self.resampling = Resampling(processor.image_processor.resample)

    @torch.inference_mode()
    def caption(
        self,
        pictures: Sequence[Pixels],
        options: Options = PLAIN,
        *,
        stopped: Stopped | None = None,
    ) -> list[Caption | None]:
        """One answer per picture, without the question.

        After each token it is asked which captions are `stopped`; those end there, as `None`.
        """
        inputs = self._inputs(pictures, prompt_for(options))
        given = inputs["input_ids"].shape[1]
        return answers(
            self._model.generate,
            inputs,
            options,
            frame=Frame(
                given=given, kept=given, ends=self._ends, tokenizer=self._processor.tokenizer
            ),
            max_new_tokens=self._max_new_tokens,
            stopped=stopped,
        )

    def _inputs(self, pictures: Sequence[Pixels], prompt: Prompt) -> dict[str, torch.Tensor]:
        # One question for all, so rows are of one length: padding, left, is there for the principle
        made = self._processor.apply_chat_template(
            [_chat(picture, prompt) for picture in pictures],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            sanitize_control_tokens=True,  # prompts are words: no special token is in them
            processor_kwargs=self._how,
        )
        inputs = {name: tensor.to(self._placement.device) for name, tensor in made.items()}
        inputs["pixel_values"] = inputs["pixel_values"].to(self._placement.dtype)
        return inputs


def _chat(picture: Pixels, prompt: Prompt) -> list[dict[str, Any]]:
    asked = [{"type": "image", "image": picture}, {"type": "text", "text": prompt.user}]
    told = [{"type": "text", "text": prompt.system}]
    return [{"role": "system", "content": told}, {"role": "user", "content": asked}]


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
    if not processor.chat_template:
        raise ValueError("it has no chat template, so nothing can be asked of it")
    processor.image_processor = image_processor(weights.folder)
    return ChatEngine(
        model,
        processor,
        whole=whole,
        placement=placement,
        revision=weights.revision,
        max_new_tokens=max(max_new_tokens, ANSWER_TOKENS),
    )
