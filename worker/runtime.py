"""The composition root of a worker: built when Celery says so, never at import.

`worker.pipeline` and the engines are imported inside `build`, as Flower imports the task module
too and has no use for them.
"""

import logging
import threading
from collections.abc import Sequence

from captioner import dispatch, garbage, jobs, stylers, tracing
from captioner.blobs import BlobStore
from captioner.broker import sending_app
from captioner.cache import Cache
from captioner.cleaning import Cleaner
from captioner.database import Database
from captioner.images import ImageLimits
from captioner.outbound.client import Outbound
from captioner.publishing import Publisher
from captioner.retention import Retention
from captioner.settings import Settings
from captioner.wakeups import Herald, connect
from captioner.webhooks.sender import Sender
from captioner.work import Claim, Parcel
from worker.ending import end_within
from worker.halting import LOOK_S
from worker.keeper import safely
from worker.watchdog import watch

log = logging.getLogger(__name__)

ANSWER_S = 15.0
"""How long a worker lets the database be silent: nobody waits on the line."""

WEBHOOKS_S = 1.0
"""Seconds between two looks for webhooks that are due: one small query when there are none."""


class Runtime:
    """Every part of one worker process."""

    def __init__(self, settings: Settings, *, name: str) -> None:
        from worker.decode_pool import DecodePool
        from worker.engines.house import EngineHouse
        from worker.fetching import Fetching
        from worker.flow import Parts
        from worker.halting import Halting
        from worker.keeper import Keeper, Registration
        from worker.leases import HeldClaims
        from worker.mailroom import Mailroom
        from worker.meters import Meters
        from worker.overtaking import Overtaking
        from worker.pace import Pace
        from worker.pipeline import Pipeline
        from worker.reconciler import Reconciler
        from worker.sharing import Sharing
        from worker.styling.studios import studios
        from worker.telling import Telling

        tracing.configure(settings, service="worker")
        self._settings = settings
        self._database = Database(settings.database, answer_s=ANSWER_S)
        draining = threading.Event()
        held, herald, pace = HeldClaims(), Herald(connect(settings.redis_url)), Pace()
        meters = Meters()
        self.house: EngineHouse = EngineHouse(settings, meters)
        self._decoders = DecodePool(
            limits=ImageLimits.from_settings(settings),
            processes=settings.decode_processes,
            timeout_s=settings.decode_timeout_s,
            memory_bytes=settings.decode_memory_bytes,
        )
        self._publisher = Publisher(
            sending_app(settings), on_failure=self._unpublished, size=settings.message_images
        )
        self._reconciler = Reconciler(settings, self._database, self._publisher, herald)
        blobs = BlobStore(settings.blobs)
        cache = Cache.of(settings)
        self._cleaner = Cleaner(settings, self._database, blobs, cache)
        self._held, self._herald = held, herald
        self._halting = Halting(self._database, held, herald)
        self._registration = Registration(
            settings, self._database, self.house, held, draining, pace, meters, name
        )
        self.mailroom: Mailroom = Mailroom(
            self._database,
            Sender(
                settings,
                self._database,
                Outbound.from_settings(settings),
                when_delivered=Retention(self._database, blobs, cache).delivered,
                when_sent=meters.sent,
            ),
            self._publisher,
            threads=settings.webhook_concurrency,
        )
        self._keeper = Keeper()
        self.draining = draining
        """Set once new messages are to go back to the queue, and held images with them."""
        parts = Parts(
            settings=settings,
            database=self._database,
            blobs=blobs,
            decoders=self._decoders,
            house=self.house,
            herald=herald,
            held=held,
            draining=draining,
            worker=name,
            pace=pace,
            meters=meters,
            sharing=Sharing(on=cache.on),
            cache=cache,
            to_style=self._ask_stylers,
        )
        self.studios = studios(parts)
        """By their stylers."""
        self._registration.stylers = lambda: {
            styler: studio.breaker.state for styler, studio in self.studios.items()
        }
        self.pipeline: Pipeline = Pipeline(parts)
        self.fetching: Fetching = Fetching(
            parts, self._publisher, one_by_one=self.pipeline.one_by_one
        )
        self._overtaking = Overtaking(parts, self.pipeline)
        self._telling = Telling(settings, meters, self.house, lambda: len(held.all()))

    def prepare(self) -> None:
        """Start what the first message needs. Raises what kept it from starting."""
        self._decoders.start()
        self._telling.start()

    def start(self) -> None:
        """Load the models, and begin the chores."""
        from worker.overtaking import LOOK_S as OVERTAKING_S

        garbage.look_rarely()
        settings = self._settings
        self._keeper.every(settings.heartbeat_s, self.house.load_all, name="loader")
        self._keeper.every(settings.heartbeat_s, self._registration.beat, name="heartbeat")
        self._keeper.every(
            min(settings.heartbeat_s, settings.hang_s / 2),
            lambda: watch(self.house.longest_run_s, hang_s=settings.hang_s),
            name="watchdog",
        )
        self._keeper.every(LOOK_S, self._halting.look, name="halting")
        self._keeper.every(settings.reconcile_s, self._reconciler.look, name="reconciler")
        # A thread of its own: a slow picture store does not hold up the look for lost work.
        self._keeper.every(settings.reconcile_s, self._cleaner.turn, name="cleaner")
        self._keeper.every(OVERTAKING_S, self._overtaking.look, name="overtaking")
        self._keeper.every(WEBHOOKS_S, self.mailroom.publish_due, name="webhooks")
        self._keeper.every(settings.reconcile_s, self.fetching.look, name="fetching")
        for styler, studio in self.studios.items():
            self._keeper.every(settings.reconcile_s, studio.begin, name=f"styling-{styler}")

    def drain(self) -> None:
        """Finish the batches that run and hand back the rest, in `drain_s`. Returns at once."""
        if self.draining.is_set():
            return
        self.draining.set()
        log.info("Draining: running batches end, other images are handed back.")
        end_within(self._settings.drain_s, self._hand_back)
        for last, name in ((self.house.close, "drain"), (self._registration.beat, "farewell")):
            threading.Thread(target=safely, args=(last, name), name=name, daemon=True).start()

    def close(self) -> None:
        """End every thread and child process."""
        self.fetching.close()
        for studio in self.studios.values():
            safely(studio.close, "closing a studio")
        self._overtaking.close()
        self._keeper.close()
        safely(self._registration.end, "sign-off")
        self.mailroom.close()
        self.house.close()
        self._decoders.close()
        self._telling.close()
        self._publisher.close()
        self._database.close()
        tracing.close()

    def _hand_back(self) -> None:
        with self._database.write() as session:
            changed = jobs.release(session, self._held.all())
        self._herald.announce(changed)
        self._registration.end()

    def _ask_stylers(self, claims: Sequence[Claim]) -> None:
        self._publisher.publish(stylers.parcels(claims, self._settings))

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
