"""The kinds of engines that there are, by the name that a model's catalog entry gives.

A kind imports what it needs when it is opened, so that a worker pays for no other.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Protocol

from captioner.catalog import ModelEntry
from captioner.settings import Settings
from worker.engines.protocol import Engine


class Maker(Protocol):
    """Makes engines of one kind, all on the device that was chosen for this process."""

    @property
    def device(self) -> str:
        """Where its engines run, as operators see it: `cpu float32`."""

    def make(self, entry: ModelEntry) -> Engine:
        """The engine of a model, loaded and warm. Raises `ModelUnavailable` with the cause."""


Opener = Callable[[Settings], Maker]
"""Chooses the device. Raises `ModelUnavailable` when the one asked for is not there."""


def _weights(module: str) -> Opener:
    """Of the engines that a module of this package loads from weights."""

    def open_kind(settings: Settings) -> Maker:
        from worker.engines.loading import WeightsMaker

        return WeightsMaker(settings, import_module(f"worker.engines.{module}").load)

    return open_kind


def _vllm(settings: Settings) -> Maker:
    from worker.engines.vllm import VllmMaker

    return VllmMaker(settings)


KINDS: dict[str, Opener] = {
    **{name: _weights(name) for name in ("blip", "blip2", "gemma", "intern_vlm", "own")},
    "vllm": _vllm,
}
"""Kind to what opens it. A start script may add its own before a worker is built."""
