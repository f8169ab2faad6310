"""Waiting for a job to change: woken by a message, with a look at the database as the fallback.

    message --> listener (1 thread) --> watcher (1 thread) --> one query --> the watches it concerns

However many callers wait in a process, these two threads and one query a second serve them. A
caller is woken only when its own job has changed. A Redis or a database that hangs holds up these
two threads and no other.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from typing import Self
from uuid import UUID

import redis

from captioner.errors import CaptionerError, TooManyWaiters
from captioner.queries import GONE, Progress
from captioner.wakeups import Listener, Whisper

log = logging.getLogger(__name__)

POLL_S = 1.0
"""Between two looks at every awaited job."""
GATHER_S, EACH_S = 0.02, 0.002
"""Between two looks, at most, and for each job that was looked at: messages that come meanwhile
share the next look. A lone caller hardly waits for that, and hundreds cost a few looks.
"""
FIRST_S = 0.05
"""After which a job that is new is looked at, though nobody has spoken of it: a worker that was
quicker than its watch may have done so before. To look at once would hold up its own message.
"""
TICK_S = 2.0
"""How often a waiting caller checks that it is still wanted: that it and this process are there."""

Look = Callable[[Collection[UUID]], Mapping[UUID, Progress]]
"""Job ids to how far each job is; one that does not exist is left out."""


class Watch:
    """One caller's view of one job. It holds a place in the room until it is closed."""

    def __init__(
        self,
        room: "WaitingRoom",
        job_id: UUID,
        has_left: Callable[[], bool] | None,
        owner: str | None,
    ) -> None:
        self.owner = owner
        self._room = room
        self._has_left = has_left or (lambda: False)
        self._changed = threading.Event()
        self.job_id = job_id
        self.progress: Progress | None = None
        """As last seen; `None` before the first look."""
        self._overheard: dict[int, Whisper] = {}

    @property
    def over(self) -> bool:
        """Whether it is of no use to wait on: the caller has left, or this process is leaving."""
        return self._room.is_leaving() or self._has_left()

    def wait(
        self, *, after: int = -1, timeout_s: float, or_whispers: bool = False
    ) -> Progress | None:
        """The job's progress once its `seq` is above `after`.

        `None` after `timeout_s` seconds, or when the watch is `over`, which is seen within
        `TICK_S`; `or_whispers`: also when there are some to take.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            self._changed.clear()  # before looking: what comes later wakes
            seen = self.progress
            if seen is not None and seen.seq > after:
                return seen
            left_s = deadline - time.monotonic()
            if left_s <= 0 or self.over or (or_whispers and self._overheard):
                return None
            self._changed.wait(min(left_s, TICK_S))

    def wait_for_end(self, *, timeout_s: float) -> Progress | None:
        """The job's progress when it is final, or as last seen once time is up or it is `over`."""
        deadline = time.monotonic() + timeout_s
        seen = self.wait(timeout_s=timeout_s)
        while seen is not None and not seen.final:
            seen = self.wait(after=seen.seq, timeout_s=deadline - time.monotonic())
        return seen or self.progress

    def tell(self, progress: Progress) -> None:
        """Take what the watcher saw, and wake the caller when it is new."""
        if progress != self.progress:
            self.progress = progress
            self._changed.set()

    def overhear(self, whisper: Whisper) -> None:
        """Take what is being written of an image; of each the last counts."""
        self._overheard[whisper.position] = whisper
        self._changed.set()

    def whispers(self) -> list[Whisper]:
        """What was overheard since this was asked last."""
        heard, self._overheard = self._overheard, {}
        return list(heard.values())

    def close(self) -> None:
        """Give the place back. May be called again."""
        self._room.leave(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class WaitingRoom:
    """At most `places` watches at a time. The first one starts the two threads.

    The last quarter of the places is for owners who have less than a quarter of all, so that none
    takes them all. Where nobody is told from others there is no such bound.
    """

    def __init__(self, client: redis.Redis, look: Look, *, places: int) -> None:
        self._look = look
        self._listener = Listener(client, self._mark, self._pass_on)
        self._marked = threading.Condition()  # guards the five below
        self._watches: dict[UUID, set[Watch]] = {}
        self._taken = 0
        self._owned: Counter[str] = Counter()
        self._due: set[UUID] = set()
        self._new: deque[tuple[float, UUID]] = deque()
        """Jobs to be looked at when their time has come, in that order."""
        self._threads: list[threading.Thread] = []
        self._poll_at = 0.0
        self._closed = threading.Event()
        self.places = places
        self.is_leaving: Callable[[], bool] = lambda: False
        """Whether this process is about to end: then waiters are sent away, unanswered."""

    def watch(
        self,
        job_id: UUID,
        *,
        has_left: Callable[[], bool] | None = None,
        new: bool = False,
        owner: str | None = None,
    ) -> Watch:
        """Take a place and watch a job until the watch is closed.

        `has_left` says whether the caller is gone. `new`: it was made just now, and nobody is
        interested in its beginning. Raises `TooManyWaiters` when there is no place for the owner.
        """
        watch = Watch(self, job_id, has_left, owner)
        with self._marked:
            self._refuse_too_many(owner)
            self._taken += 1
            if owner is not None:
                self._owned[owner] += 1
            self._watches.setdefault(job_id, set()).add(watch)
            self._start()
            if new:
                self._new.append((time.monotonic() + FIRST_S, job_id))
                if len(self._new) == 1:
                    self._marked.notify()
        if not new:
            self._mark(job_id)
        return watch

    def _refuse_too_many(self, owner: str | None) -> None:
        safe = "The job is safe and goes on: poll it at its address."
        if self._taken >= self.places:
            raise TooManyWaiters(f"All {self.places} places for waiting calls are taken. {safe}")
        quarter = self.places // 4
        is_late = self._taken >= self.places - quarter
        if owner is not None and is_late and self._owned[owner] >= quarter:
            raise TooManyWaiters(
                f"You have {self._owned[owner]} waiting calls, and the {self.places - self._taken} "
                f"places that are left are for others. {safe}"
            )

    def leave(self, watch: Watch) -> None:
        """Forget a watch; `Watch.close` calls it."""
        with self._marked:
            watches = self._watches.get(watch.job_id, set())
            if watch in watches:
                self._taken -= 1
                watches.remove(watch)
                if watch.owner is not None:
                    self._owned[watch.owner] -= 1
                    self._owned += Counter()  # without those who have none
                if not watches:
                    del self._watches[watch.job_id]

    def close(self) -> None:
        """End the threads. One that hangs in Redis or the database is left to the process's end."""
        self._closed.set()
        with self._marked:
            self._marked.notify()
        for thread in self._threads:
            thread.join(timeout=2)

    def _start(self) -> None:
        if self._threads or self._closed.is_set():
            return
        self._threads = [
            threading.Thread(target=self._watch_for_ever, name="watcher", daemon=True),
            threading.Thread(
                target=self._listener.run, args=(self._closed,), name="wake-ups", daemon=True
            ),
        ]
        for thread in self._threads:
            thread.start()

    def _mark(self, job_id: UUID) -> None:
        with self._marked:
            if job_id in self._watches:
                self._due.add(job_id)
                self._marked.notify()

    def _pass_on(self, whisper: Whisper) -> None:
        with self._marked:
            watches = list(self._watches.get(whisper.job_id, ()))
        for watch in watches:
            watch.overhear(whisper)

    def _watch_for_ever(self) -> None:
        while not self._closed.is_set():
            wanted = self._next()
            if wanted:
                self._tell(wanted)
                self._closed.wait(min(GATHER_S, EACH_S * len(wanted)))

    def _next(self) -> set[UUID]:
        """The jobs to look at now: those marked, or all of them when the time has come."""
        with self._marked:
            if not self._due and not self._closed.is_set():
                first = self._new[0][0] if self._new else self._poll_at
                self._marked.wait(max(0.0, min(first, self._poll_at) - time.monotonic()))
            now = time.monotonic()
            while self._new and self._new[0][0] <= now:
                self._due.add(self._new.popleft()[1])
            due, self._due = self._due, set()
            if now < self._poll_at:
                return due & self._watches.keys()
            self._poll_at = now + POLL_S
            return set(self._watches)

    def _tell(self, wanted: set[UUID]) -> None:
        try:
            found = self._look(wanted)
        except Exception as error:
            known = isinstance(error, CaptionerError)
            log.warning(
                "Waiters see nothing: %s",
                error,
                exc_info=None if known else error,
                extra={"action": "look_failed"},
            )
            self._closed.wait(POLL_S)
            return
        with self._marked:
            watches = [watch for job_id in wanted for watch in self._watches.get(job_id, ())]
        for watch in watches:
            watch.tell(found.get(watch.job_id, GONE))
