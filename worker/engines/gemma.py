"""Gemma 3: SigLIP looks at the picture, and a text model that speaks many languages answers.

Gemma Team, "Gemma 3 Technical Report", 2025 (arXiv:2503.19786). The network is transformers' own.
"""

from functools import partial
from typing import Any

from transformers import Gemma3ForConditionalGeneration, Gemma3Processor

from worker.engines.chat import ChatEngine, chat_engine
from worker.engines.device import Placement
from worker.engines.loading import from_source, network
from worker.engines.weights import Weights

WHOLE = {"do_pan_and_scan": False}


def load(source: str, *, revision: str, placement: Placement, max_new_tokens: int) -> ChatEngine:
    """Load Gemma 3 from a hub id or a folder. Raises what `loading.from_source` does."""
    make = partial(build, placement=placement, max_new_tokens=max_new_tokens)
    return from_source(source, revision=revision, build=make)


def build(weights: Weights, *, placement: Placement, max_new_tokens: int) -> ChatEngine:
    """The engine of the weights in a folder. ValueError: they are of another kind."""
    model = network(Gemma3ForConditionalGeneration, weights.folder, placement, model_type="gemma3")
    processor: Any = Gemma3Processor.from_pretrained(weights.folder)
    return chat_engine(
        model, processor, weights, whole=WHOLE, placement=placement, max_new_tokens=max_new_tokens
    )
