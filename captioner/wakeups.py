"""Waiting for a job to end: woken through Redis, with a slow look at the database as the fallback.

One subscription serves every waiter of a process. A lost wake-up costs a poll interval, never a
wrong answer.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID

import redis

from captioner.errors import TooManyWaiters

log = logging.getLogger(__name__)

CHANNEL = "cap:ended"
POLL_S = 1.0
RECONNECT_S = 1.0


def connect(url: str) -> redis.Redis:
    """A Redis client with bounded waits. Opens no connection yet."""
    return redis.Redis.from_url(
        url, socket_timeout=5, socket_connect_timeout=2, health_check_interval=15
    )


class Herald:
    """Tells every API process that a job has ended."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def announce(self, job_ids: Iterable[UUID]) -> None:
        """Say that these jobs are final. A Redis that is away is no error: waiters also poll."""
        try:
            for job_id in job_ids:
                self._client.publish(CHANNEL, str(job_id))
        except redis.RedisError as error:
            log.warning(
                "Waiters were not woken (%s); they will see it by polling.",
                type(error).__name__,
                extra={"action": "announce_failed"},
            )


class WaitingRoom:
    """Holds at most `places` waiters of this process."""

    def __init__(self, client: redis.Redis, *, places: int) -> None:
        self._client = client
        self._places = threading.BoundedSemaphore(places)
        self._changed = threading.Condition()
        self._awaited: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()
        self._listener: threading.Thread | None = None
        self.places = places
        self.is_leaving: Callable[[], bool] = lambda: False
        """Whether this process is about to end: then waiters are sent away, unanswered."""

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for one waiter. Raises `TooManyWaiters` when all are taken."""
        if not self._places.acquire(blocking=False):
            raise TooManyWaiters(
                f"All {self.places} places for waiting calls are taken. "
                "The job is safe and goes on: poll it at its address."
            )
        try:
            yield
        finally:
            self._places.release()

    def wait(self, job_id: UUID, *, is_final: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until the job is final, for at most `timeout_s`. Returns whether it is.

        Returns early when the process is leaving.
        """
        deadline = time.monotonic() + timeout_s
        self._listen()
        with self._awaiting(str(job_id)) as key:
            while True:
                calls = self._calls[key]  # before looking: a later one wakes
                if is_final():
                    return True
                left = deadline - time.monotonic()
                if left <= 0 or self.is_leaving():
                    return False
                self._await_call(key, after=calls, at_most_s=min(left, POLL_S))

    def _await_call(self, key: str, *, after: int, at_most_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._calls[key] > after, at_most_s)

    @contextmanager
    def _awaiting(self, key: str) -> Iterator[str]:
        with self._changed:
            self._awaited[key] += 1
        try:
            yield key
        finally:
            with self._changed:
                self._awaited[key] -= 1
                if not self._awaited[key]:
                    del self._awaited[key]
                    self._calls.pop(key, None)

    def _listen(self) -> None:
        with self._changed:
            if self._listener is None:
                self._listener = threading.Thread(
                    target=self._hear_for_ever, name="wake-ups", daemon=True
                )
                self._listener.start()

    def _hear_for_ever(self) -> None:
        while True:
            try:
                self._hear()
            except (redis.RedisError, OSError) as error:
                log.warning(
                    "No wake-ups (%s); waiters poll until Redis is back.",
                    type(error).__name__,
                    extra={"action": "wakeups_lost"},
                )
                time.sleep(RECONNECT_S)

    def _hear(self) -> None:
        with self._client.pubsub(ignore_subscribe_messages=True) as channel:  # type: ignore[no-untyped-call]
            channel.subscribe(CHANNEL)
            while True:
                message = channel.get_message(timeout=1.0)
                if message is not None:
                    self._wake(message["data"].decode())

    def _wake(self, key: str) -> None:
        with self._changed:
            if key in self._awaited:
                self._calls[key] += 1
                self._changed.notify_all()
