"""The composition root of a worker: built when Celery says so, never at import.

`worker.pipeline` and the engines are imported inside `build`, as Flower imports the task module
too and has no use for torch.
"""

import logging
import threading
from typing import TYPE_CHECKING

from captioner import dispatch
from captioner.blobs import BlobStore
from captioner.broker import Publisher, celery_app
from captioner.database import Database
from captioner.images import ImageLimits
from captioner.settings import Settings
from captioner.wakeups import Herald, connect
from captioner.work import Parcel
from worker.watchdog import watch

if TYPE_CHECKING:
    pass

log = logging.getLogger(__name__)


class Runtime:
    """Every part of one worker process."""

    def __init__(self, settings: Settings, *, name: str) -> None:
        from worker.decode_pool import DecodePool
        from worker.engines.device import place
        from worker.engines.house import EngineHouse
        from worker.flow import Parts
        from worker.keeper import Keeper, Registration
        from worker.leases import HeldClaims
        from worker.pipeline import Pipeline
        from worker.reconciler import Reconciler

        self._settings = settings
        self._database = Database(settings.database)
        draining = threading.Event()
        held, herald = HeldClaims(), Herald(connect(settings.redis_url))
        self._house = EngineHouse(settings, place(settings))
        self._decoders = DecodePool(
            limits=ImageLimits.from_settings(settings),
            processes=settings.decode_processes,
            timeout_s=settings.decode_timeout_s,
            memory_bytes=settings.decode_memory_bytes,
        )
        self._publisher = Publisher(celery_app(settings), on_failure=self._unpublished)
        self._reconciler = Reconciler(settings, self._database, self._publisher, herald)
        self._registration = Registration(settings, self._database, self._house, held, name)
        self._keeper = Keeper()
        self.draining = draining
        """Set once new messages are to go back to the queue, and held images with them."""
        self.pipeline: Pipeline = Pipeline(
            Parts(
                settings=settings,
                database=self._database,
                blobs=BlobStore(settings.blobs),
                decoders=self._decoders,
                house=self._house,
                herald=herald,
                held=held,
                draining=draining,
                worker=name,
            )
        )

    def start(self) -> None:
        """Start the decoders, load the models, and begin the chores."""
        settings = self._settings
        self._decoders.start()
        self._keeper.every(settings.heartbeat_s, self._house.load_all, name="loader")
        self._keeper.every(settings.heartbeat_s, self._registration.beat, name="heartbeat")
        self._keeper.every(
            settings.heartbeat_s,
            lambda: watch(self._house.longest_run_s, hang_s=settings.hang_s),
            name="watchdog",
        )
        self._keeper.every(settings.reconcile_s, self._reconciler.look, name="reconciler")

    def drain(self) -> None:
        """Finish the batches that run and hand back the rest. Returns at once."""
        self.draining.set()
        log.info("Draining: running batches end, other images are handed back.")
        threading.Thread(target=self._house.close, name="drain", daemon=True).start()

    def close(self) -> None:
        """End every thread and child process."""
        from worker.keeper import safely

        self._keeper.close()
        safely(self._registration.end, "sign-off")
        self._house.close()
        self._decoders.close()
        self._publisher.close()
        self._database.close()

    def _unpublished(self, parcel: Parcel) -> None:
        with self._database.write() as session:
            dispatch.unpublished(session, parcel)


_current: Runtime | None = None


def build(settings: Settings, *, name: str) -> None:
    """Build the runtime of this process."""
    global _current
    _current = Runtime(settings, name=name)


def current() -> Runtime:
    """The runtime of this process. It must have been built."""
    if _current is None:
        raise RuntimeError("the worker has not been initialised")
    return _current
