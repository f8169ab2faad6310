"""The engines of this process: each loaded once, with a batcher of its own."""

import logging
import threading
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

from captioner import catalog
from captioner.errors import ModelUnavailable, ShuttingDown
from captioner.options import PLAIN, Options
from captioner.settings import Settings
from worker.batching import Batcher
from worker.engines.kinds import KINDS, Maker
from worker.engines.protocol import Answer, Engine, EngineGone, Pixels
from worker.engines.version import version

log = logging.getLogger(__name__)

RETRY_S = 30.0
"""How long a failed load is remembered before it is tried again."""


class Halted(Protocol):
    """What says that work on a picture is in vain."""

    def done(self) -> bool:
        """Whether it is. It stays so."""


@dataclass(frozen=True)
class Wish:
    """A picture to caption, unless `halt` is done before it has its caption."""

    pixels: Pixels
    halt: Halted


@dataclass(frozen=True)
class Resident:
    """A loaded engine and the batcher that feeds it. A batch's group is its options.

    A result is `None` where the wish was halted.
    """

    engine: Engine
    batcher: Batcher[Wish, Answer]
    version: str
    """What its captions depend on: see `worker.engines.version`."""


@dataclass
class _Room:
    model: str
    lock: threading.Lock
    resident: Resident | None = None
    state: str = "not loaded"
    detail: str | None = None
    failure: ModelUnavailable | None = None
    failed_at: float = 0.0
    failing_since: float | None = None

    def fail(self, error: ModelUnavailable) -> None:
        self.state, self.detail, self.failure = "failed", error.detail, error
        self.failed_at = time.monotonic()
        self.failing_since = self.failing_since or self.failed_at


class EngineHouse:
    """Loads engines on first use, once, whoever asks at the same time. Thread-safe.

    Raises `ModelUnavailable` at once when the device asked for is not there.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._makers = _makers(settings)
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

    def waits_for(self, model: str) -> bool:
        """Whether the model's last load failed, and a later one may do better.

        Its images are better left to other workers then. Not so once it has failed for longer than
        an image waits: somebody must say so.
        """
        room = self._rooms.get(model)
        if room is None or room.failure is None or room.failing_since is None:
            return False
        patient = time.monotonic() - room.failing_since < self._settings.retry_s
        return room.failure.retryable and patient

    @property
    def device(self) -> str:
        """Where the engines run, as operators see it: `cpu float32`."""
        return ", ".join(dict.fromkeys(maker.device for maker in self._makers.values()))

    def states(self) -> dict[str, dict[str, str | None]]:
        """Model to its state, detail and version, as the worker reports it."""
        return {
            name: {
                "state": room.state,
                "detail": room.detail,
                "version": room.resident.version if room.resident else None,
            }
            for name, room in self._rooms.items()
        }

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
        if room.failure is not None and time.monotonic() - room.failed_at < RETRY_S:
            raise type(room.failure)(room.failure.detail)
        room.state, started = "loading", time.monotonic()
        try:
            resident = room.resident = self._resident(room)
        except Exception as error:
            named = error if isinstance(error, ModelUnavailable) else _named(room.model, error)
            room.fail(named)
            log.error("The model was not loaded: %s", named.detail, extra={"model": room.model})
            raise named from error
        room.state, room.detail = "ready", None
        room.failure = room.failing_since = None
        log.info(
            "The model is loaded and warm after %.1f s.",
            time.monotonic() - started,
            extra={"action": "model_ready", "model": room.model},
        )
        return resident

    def _resident(self, room: _Room) -> Resident:
        entry = catalog.find(room.model, self._settings)
        maker = self._makers[entry.kind]
        engine = maker.make(entry)

        def run(group: Hashable, wishes: list[Wish]) -> list[Answer]:
            answers = captions(engine, wishes, group if isinstance(group, Options) else PLAIN)
            gone = [answer for answer in answers if isinstance(answer, EngineGone)]
            if gone:
                self._vacate(room, gone[0])
            return answers

        batcher = Batcher(
            run,
            max_batch=catalog.batch_of(entry, self._settings, device=maker.device),
            out_of_memory=engine.out_of_memory,
            name=f"batcher-{room.model}",
        )
        runs = version(engine, entry, device=maker.device, settings=self._settings)
        return Resident(engine, batcher, runs)

    def _vacate(self, room: _Room, error: EngineGone) -> None:
        """Have the model loaded anew. What waits for this engine is handed back."""
        with room.lock:
            resident, room.resident = room.resident, None
            room.fail(error)
        log.warning("The engine is gone: %s", error.detail, extra={"model": room.model})
        if resident is not None:
            resident.batcher.close_soon()


def captions(engine: Engine, wishes: Sequence[Wish], options: Options) -> list[Answer]:
    """What the engine answers to those that are not halted; `None` for those that are."""
    wanted = [wish for wish in wishes if not wish.halt.done()]
    if not wanted:
        return [None] * len(wishes)
    answers = engine.caption(
        [wish.pixels for wish in wanted],
        options,
        stopped=lambda: [wish.halt.done() for wish in wanted],
    )
    by_wish = dict(zip(map(id, wanted), answers, strict=True))
    return [by_wish.get(id(wish)) for wish in wishes]


def _makers(settings: Settings) -> dict[str, Maker]:
    # A name that the catalog does not have is told when its model is asked for.
    known = catalog.entries(settings)
    kinds = {known[name].kind for name in settings.served_models if name in known}
    return {kind: KINDS[kind](settings) for kind in sorted(kinds)}


def _named(model: str, error: Exception) -> ModelUnavailable:
    detail = getattr(error, "detail", None) or f"{type(error).__name__}: {error}"
    return ModelUnavailable(f"The model {model!r} cannot be loaded: {detail}"[:500])
