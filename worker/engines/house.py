"""The engines of this process: each loaded once, with a batcher of its own.

Where not all models may be loaded at once, `places` says whose turn it is.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from captioner import catalog, tracing
from captioner.errors import ModelNotReady, ModelUnavailable, ShuttingDown
from captioner.garbage import collect_all
from captioner.options import PLAIN, Options
from captioner.settings import Settings
from worker.batching import Batcher
from worker.engines.kinds import KINDS, Maker
from worker.engines.places import Places
from worker.engines.protocol import Answer, Engine, EngineGone
from worker.engines.stages import measured
from worker.engines.version import version
from worker.engines.wishes import Wish, captions, tokens
from worker.meters import Meters
from worker.watchdog import ending_when_broken

log = logging.getLogger(__name__)

RETRY_S = 30.0
"""How long a failed load is remembered before it is tried again."""
ON_DEMAND = "on demand"
"""The state of a model that has made room, or was not asked for yet, and is loaded when it is."""


@dataclass(frozen=True)
class Resident:
    """A loaded engine and the batcher that feeds it. A batch's group is its options.

    A result is `None` where the wish was halted.
    """

    engine: Engine
    batcher: Batcher[Wish, Answer]
    version: str
    """What its captions depend on: see `worker.engines.version`."""
    chats: bool = False
    """Whether it answers a question; otherwise it goes on with a text."""


@dataclass
class _Room:
    model: str
    lock: threading.Lock
    resident: Resident | None = None
    state: str = "not loaded"
    detail: str | None = None
    version: str | None = None
    failure: ModelUnavailable | None = None
    failed_at: float = 0.0
    failing_since: float | None = None

    def fail(self, error: ModelUnavailable) -> None:
        self.state, self.detail, self.failure = "failed", error.detail, error
        self.failed_at = time.monotonic()
        self.failing_since = self.failing_since or self.failed_at


class EngineHouse:
    """Loads engines on first use, once, whoever asks at the same time. Thread-safe.

    At most `CAPTIONER_MODEL_CAPACITY` of them are there at once; the others are `on demand`.
    `end` is called when no engine of this process can answer any more. Raises `ModelUnavailable` at
    once when the device asked for is not there.
    """

    def __init__(
        self,
        settings: Settings,
        meters: Meters | None = None,
        *,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._end = end
        self._settings = settings
        self._meters = meters or Meters()
        self._makers = _makers(settings)
        self._rooms = {name: _Room(name, threading.Lock()) for name in self._in_order()}
        capacity = settings.model_capacity
        self._capacity = capacity if capacity < len(self._rooms) else 0
        self._places = Places(self._capacity, turn_s=settings.model_turn_s, empty=self._evict)
        for room in list(self._rooms.values())[self._capacity or None :]:
            room.state = ON_DEMAND
        self._closed = False

    @contextmanager
    def using(self, model: str, *, wanted: Callable[[], bool] | None = None) -> Iterator[Resident]:
        """The engine of a model, loaded if need be. It stays until the block ends, at least.

        Where others have all places, waits for one, and raises `Unwanted` if by then `wanted` says
        that there is nothing left to do. Raises `ModelUnavailable` with the cause; for a
        while after a failure, without trying again. Raises `ShuttingDown` once the house is closed.
        """
        room = self._rooms.get(model)
        if room is None:
            raise ModelUnavailable(f"This worker does not serve the model {model!r}.")
        _raise_lately(room)
        with self._places.using(model, wanted=wanted):
            with room.lock:
                if self._closed:
                    raise ShuttingDown("This worker is draining.")
                resident = room.resident or self._load(room)
            yield resident

    def waits_for(self, model: str) -> bool:
        """Whether the model's last load failed, and a later one may do better.

        Its images are better left to other workers then. Not so once it has failed for longer than
        an image waits: somebody must say so.
        """
        room = self._rooms.get(model)
        if room is None or room.failure is None or room.failing_since is None:
            return False
        if self._capacity and not _failed_lately(room):
            return False  # nobody else will try
        patient = time.monotonic() - room.failing_since < self._settings.retry_s
        return room.failure.retryable and patient

    @property
    def device(self) -> str:
        """Where the engines run, as operators see it: `cpu float32`."""
        return ", ".join(dict.fromkeys(maker.device for maker in self._makers.values()))

    def states(self) -> dict[str, dict[str, str | None]]:
        """Model to its state, detail and version, as the worker reports it."""
        return {
            name: {"state": room.state, "detail": room.detail, "version": room.version}
            for name, room in self._rooms.items()
        }

    def longest_run_s(self) -> float:
        """How long the batch has run that is running longest; 0 when none is."""
        return max((each.batcher.running_s for each in self._residents()), default=0.0)

    def batch_s(self) -> float:
        """How long the last batch took, of the model whose batches are shortest; 0 without any."""
        return min((each.batcher.took_s for each in self._residents()), default=0.0)

    def waiting(self) -> dict[str, int]:
        """Model to the number of pictures that wait for a batch; without those not loaded."""
        residents = {name: room.resident for name, room in self._rooms.items()}
        return {name: each.batcher.waiting for name, each in residents.items() if each}

    def load_all(self) -> None:
        """Load the models that are missing, the default first, as long as there are places.

        None has to go for it: one that failed is tried again here where there is a place, and else
        when it is asked for. Failures are kept, not raised.
        """
        for model, room in self._rooms.items():
            if room.resident or not self._places.has_room():
                continue
            try:
                with self.using(model):
                    pass
            except (ModelUnavailable, ShuttingDown) as error:
                log.debug("%s", error.detail)

    def close(self) -> None:
        """Let each batcher finish the batch that runs, and refuse the rest with `ShuttingDown`."""
        self._closed = True
        self._places.close()
        residents = self._residents()
        for resident in residents:
            resident.batcher.close_soon()
        for resident in residents:
            resident.batcher.close()

    def _residents(self) -> list[Resident]:
        return [there for room in self._rooms.values() if (there := room.resident)]

    def _in_order(self) -> list[str]:
        first = self._settings.model
        return sorted(self._settings.served_models, key=lambda name: name != first)

    def _evict(self, model: str) -> None:
        """Free the memory of a model that nobody uses."""
        room = self._rooms[model]
        with room.lock:
            resident, room.resident = room.resident, None
            if resident is None:
                return
            room.state = ON_DEMAND
        resident.batcher.close()
        self._meters.went(model)
        del resident
        _free_memory()
        log.info(
            "The model made room for another.", extra={"action": "model_evicted", "model": model}
        )

    def _load(self, room: _Room) -> Resident:
        _raise_lately(room)
        room.state, started = "loading", time.monotonic()
        try:
            with ending_when_broken(self._end):
                resident = room.resident = self._resident(room)
        except Exception as error:
            named = error if isinstance(error, ModelUnavailable) else _named(room.model, error)
            room.fail(named)
            self._places.give_up(room.model)
            log.error("The model was not loaded: %s", named.detail, extra={"model": room.model})
            raise named from error
        room.state, room.detail, room.version = "ready", None, resident.version
        room.failure = room.failing_since = None
        self._meters.came(room.model)
        self._places.begin(room.model)
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
            options = group if isinstance(group, Options) else PLAIN
            with _batch(room.model, wishes), measured() as seconds, ending_when_broken(self._end):
                answers = captions(engine, wishes, options)
            gone = [answer for answer in answers if isinstance(answer, EngineGone)]
            if gone:
                self._vacate(room, gone[0])
            self._meters.ran(
                room.model, images=len(answers), tokens=tokens(answers), seconds=seconds
            )
            return answers

        batcher = Batcher(
            run,
            max_batch=catalog.batch_of(entry, self._settings, device=maker.device),
            name=f"batcher-{room.model}",
        )
        runs = version(engine, entry, device=maker.device, settings=self._settings)
        return Resident(engine, batcher, runs, chats=entry.limits.chats)

    def _vacate(self, room: _Room, error: EngineGone) -> None:
        """Have the model loaded anew. What waits for this engine is handed back."""
        with room.lock:
            resident, room.resident = room.resident, None
            room.fail(error)
        self._places.give_up(room.model)
        log.warning("The engine is gone: %s", error.detail, extra={"model": room.model})
        if resident is not None:
            resident.batcher.close_soon()


def _batch(model: str, wishes: list[Wish]) -> AbstractContextManager[None]:
    """A span within the first picture's, linked to those of all."""
    origins = [wish.origin for wish in wishes if wish.origin]
    first = origins[0] if origins else ""
    return tracing.span("batch", origin=first, links=origins, model=model, images=len(wishes))


def _failed_lately(room: _Room) -> bool:
    return room.failure is not None and time.monotonic() - room.failed_at < RETRY_S


def _raise_lately(room: _Room) -> None:
    failure = room.failure
    if failure is not None and _failed_lately(room):
        raise type(failure)(failure.detail)


def _free_memory() -> None:
    collect_all()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _makers(settings: Settings) -> dict[str, Maker]:
    # A name that the catalog does not have is told when its model is asked for.
    known = catalog.entries(settings)
    kinds = {known[name].kind for name in settings.served_models if name in known}
    return {kind: KINDS[kind](settings) for kind in sorted(kinds)}


def _named(model: str, error: Exception) -> ModelUnavailable:
    detail = getattr(error, "detail", None) or f"{type(error).__name__}: {error}"
    kind = ModelNotReady if isinstance(error, MemoryError) else ModelUnavailable
    return kind(f"The model {model!r} cannot be loaded: {detail}"[:500])
