"""The engines of this process: each loaded once, with a batcher of its own."""

import logging
import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass

import torch

from captioner import catalog
from captioner.errors import ModelUnavailable, ShuttingDown
from captioner.settings import Settings
from worker.batching import Batcher
from worker.engines import blip
from worker.engines.device import Placement
from worker.engines.protocol import Caption, Engine, Pixels

log = logging.getLogger(__name__)

RETRY_S = 30.0
"""How long a failed load is remembered before it is tried again."""


@dataclass(frozen=True)
class Resident:
    """A loaded engine and the batcher that feeds it. A batch's group is its prompt."""

    engine: Engine
    batcher: Batcher[Pixels, Caption]


@dataclass
class _Room:
    model: str
    lock: threading.Lock
    resident: Resident | None = None
    state: str = "not loaded"
    detail: str | None = None
    failed_at: float = 0.0


class EngineHouse:
    """Loads engines on first use, once, whoever asks at the same time. Thread-safe."""

    def __init__(self, settings: Settings, placement: Placement) -> None:
        self._settings = settings
        self.placement = placement
        self._rooms = {name: _Room(name, threading.Lock()) for name in settings.served_models}
        self._closed = False

    def get(self, model: str) -> Resident:
        """The engine of a model, loaded if need be.

        Raises `ModelUnavailable` with the cause; for a while after a failure, without trying again.
        Raises `ShuttingDown` once the house is closed.
        """
        room = self._rooms.get(model)
        if room is None:
            raise ModelUnavailable(f"This worker does not serve the model {model!r}.")
        with room.lock:
            if self._closed:
                raise ShuttingDown("This worker is draining.")
            return room.resident or self._load(room)

    def states(self) -> dict[str, dict[str, str | None]]:
        """Model to its state and detail, as the worker reports it."""
        return {n: {"state": r.state, "detail": r.detail} for n, r in self._rooms.items()}

    def longest_run_s(self) -> float:
        """How long the batch has run that is running longest; 0 when none is."""
        rooms = self._rooms.values()
        return max((r.resident.batcher.running_s for r in rooms if r.resident), default=0.0)

    def load_all(self) -> None:
        """Load every model that is missing, the default first. Failures are kept, not raised."""
        first = self._settings.model
        for model in sorted(self._rooms, key=lambda name: name != first):
            try:
                self.get(model)
            except (ModelUnavailable, ShuttingDown) as error:
                log.debug("%s", error.detail)

    def close(self) -> None:
        """Let each batcher finish the batch that runs, and refuse the rest with `ShuttingDown`."""
        self._closed = True
        residents = [room.resident for room in self._rooms.values() if room.resident is not None]
        for resident in residents:
            resident.batcher.close_soon()
        for resident in residents:
            resident.batcher.close()

    def _load(self, room: _Room) -> Resident:
        if room.state == "failed" and time.monotonic() - room.failed_at < RETRY_S:
            raise ModelUnavailable(room.detail or "The model failed to load a moment ago.")
        room.state, started = "loading", time.monotonic()
        try:
            resident = room.resident = self._resident(room.model)
        except Exception as error:
            named = error if isinstance(error, ModelUnavailable) else _named(room.model, error)
            room.state, room.detail, room.failed_at = "failed", named.detail, time.monotonic()
            log.error("The model was not loaded: %s", named.detail, extra={"model": room.model})
            raise named from error
        room.state, room.detail = "ready", None
        log.info(
            "The model is loaded and warm after %.1f s.",
            time.monotonic() - started,
            extra={"action": "model_ready", "model": room.model},
        )
        return resident

    def _resident(self, model: str) -> Resident:
        entry = catalog.find(model, self._settings)
        engine = blip.load(
            entry.source,
            revision=self._settings.model_revision,
            placement=self.placement,
            max_new_tokens=self._settings.max_new_tokens,
        )
        blip.warm_up(engine)

        def run(prompt: Hashable, pictures: list[Pixels]) -> list[Caption]:
            return engine.caption(pictures, prompt=None if prompt is None else str(prompt))

        batcher = Batcher(
            run,
            max_batch=self._settings.max_batch,
            out_of_memory=(MemoryError, torch.OutOfMemoryError),
            name=f"batcher-{model}",
        )
        return Resident(engine, batcher)


def _named(model: str, error: Exception) -> ModelUnavailable:
    detail = getattr(error, "detail", None) or f"{type(error).__name__}: {error}"
    return ModelUnavailable(f"The model {model!r} cannot be loaded: {detail}"[:500])
