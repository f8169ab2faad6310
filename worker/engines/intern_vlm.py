"""InternVL 3: InternViT looks at the picture, and Qwen 2 answers.

Zhu et al., "InternVL3: Exploring Advanced Training and Test-Time Recipes for Open-Source
Multimodal Models", 2025 (arXiv:2504.10479). The network is transformers' own.
"""

from functools import partial
from typing import Any

from transformers import InternVLForConditionalGeneration, InternVLProcessor

from worker.engines.chat import ChatEngine, chat_engine
from worker.engines.device import Placement
from worker.engines.loading import from_source, network
from worker.engines.weights import Weights

WHOLE = {"crop_to_patches": False}


class PictureProcessor(InternVLProcessor):
    """InternVL's processor for pictures alone: the same on every machine, as its part for videos
    needs torchvision, which only some have.

    Which parts a processor has, and loads, transformers reads from the arguments of `__init__`.
    """

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        image_seq_length: int = 256,
        chat_template: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(
            image_processor,
            tokenizer,
            image_seq_length=image_seq_length,
            chat_template=chat_template,
            **more,
        )


def load(source: str, *, revision: str, placement: Placement, max_new_tokens: int) -> ChatEngine:
    """Load InternVL from a hub id or a folder. Raises what `loading.from_source` does."""
    make = partial(build, placement=placement, max_new_tokens=max_new_tokens)
    return from_source(source, revision=revision, build=make)


def build(weights: Weights, *, placement: Placement, max_new_tokens: int) -> ChatEngine:
    """The engine of the weights in a folder. ValueError: they are of another kind."""
    model = network(
        InternVLForConditionalGeneration, weights.folder, placement, model_type="internvl"
    )
    processor: Any = PictureProcessor.from_pretrained(weights.folder)
    return chat_engine(
        model, processor, weights, whole=WHOLE, placement=placement, max_new_tokens=max_new_tokens
    )
