"""An operator's own weights: run by the engine that their config.json asks for."""

from functools import partial
from importlib import import_module

from captioner.catalog import MODEL_TYPES
from worker.engines.device import Placement
from worker.engines.loading import from_source, type_of
from worker.engines.protocol import Engine
from worker.engines.weights import Weights


def load(source: str, *, revision: str, placement: Placement, max_new_tokens: int) -> Engine:
    """Load whatever a hub id or a folder holds. Raises what `loading.from_source` does."""
    make = partial(build, placement=placement, max_new_tokens=max_new_tokens)
    return from_source(source, revision=revision, build=make)


def build(weights: Weights, *, placement: Placement, max_new_tokens: int) -> Engine:
    """The engine of the weights in a folder. ValueError: there is none for them."""
    found = type_of(weights.folder)
    kind = MODEL_TYPES.get(found)
    if kind is None:
        known = ", ".join(sorted(MODEL_TYPES))
        raise ValueError(f"it holds a {found!r} network, and those that run here are {known}")
    make = import_module(f"worker.engines.{kind}").build
    engine: Engine = make(weights, placement=placement, max_new_tokens=max_new_tokens)
    return engine
