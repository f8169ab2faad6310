"""That a job has changed, told through Redis. A lost message costs time, never a wrong answer."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

import redis

log = logging.getLogger(__name__)

CHANNEL = "cap:changed"
WHISPERS = "cap:partial"
"""Where styled captions are told as they are written. Nothing there is kept, or needed."""
RECONNECT_S = 1.0
SILENCE_S = 10.0
"""A Redis that did not take an announcement is left alone so long: its waiters poll."""


def connect(url: str) -> redis.Redis:
    """A Redis client with bounded waits. Opens no connection yet."""
    return redis.Redis.from_url(
        url, socket_timeout=5, socket_connect_timeout=2, health_check_interval=15
    )


class Herald:
    """Tells every API process that a job has changed."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._silent_until = 0.0

    def announce(self, job_ids: Iterable[UUID]) -> None:
        """Say that these jobs have changed. A Redis that is away is no error: waiters also poll."""
        texts = [str(job_id) for job_id in job_ids]
        if not texts or time.monotonic() < self._silent_until:
            return
        try:
            with self._client.pipeline(transaction=False) as pipeline:
                for text in texts:
                    pipeline.publish(CHANNEL, text)
                pipeline.execute()
        except (redis.RedisError, OSError) as error:
            self._silent_until = time.monotonic() + SILENCE_S
            log.warning(
                "Waiters were not woken (%s); they will see it by polling.",
                type(error).__name__,
                extra={"action": "announce_failed"},
            )

    def whisper(self, job_id: UUID, position: int, styled: Any, *, caption: str) -> None:
        """Say what an image's plain caption is, and what the styled ones are so far. It may get
        lost, and nobody minds.
        """
        if time.monotonic() < self._silent_until:
            return
        said = {"job": str(job_id), "position": position, "caption": caption, "styled": styled}
        try:
            self._client.publish(WHISPERS, json.dumps(said))
        except (redis.RedisError, OSError):
            self._silent_until = time.monotonic() + SILENCE_S


@dataclass(frozen=True)
class Whisper:
    """Styled captions of an image that are being written: the last of them may be cut short."""

    job_id: UUID
    position: int
    styled: tuple[tuple[str, tuple[str, ...]], ...]
    caption: str = ""

    @classmethod
    def parse(cls, data: bytes) -> Self | None:
        """What a herald whispered; `None` for what is none of ours."""
        try:
            said = json.loads(data)
            styled = tuple((str(style), tuple(map(str, texts))) for style, texts in said["styled"])
            caption = str(said.get("caption", ""))  # an older worker says none
            return cls(UUID(said["job"]), int(said["position"]), styled, caption)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


class Listener:
    """Hears what heralds announce, for as long as it runs."""

    def __init__(
        self,
        client: redis.Redis,
        heard: Callable[[UUID], None],
        overheard: Callable[[Whisper], None] = lambda _: None,
    ) -> None:
        self._client = client
        self._heard = heard
        self._overheard = overheard

    def run(self, closed: threading.Event) -> None:
        """Hear until `closed`, which is seen within a second, or ten from a Redis that hangs."""
        while not closed.is_set():
            try:
                self._hear(closed)
            except (redis.RedisError, OSError) as error:
                log.warning(
                    "No wake-ups (%s); waiters poll until Redis is back.",
                    type(error).__name__,
                    extra={"action": "wakeups_lost"},
                )
                closed.wait(RECONNECT_S)

    def _hear(self, closed: threading.Event) -> None:
        with self._client.pubsub(ignore_subscribe_messages=True) as channel:  # type: ignore[no-untyped-call]
            channel.subscribe(CHANNEL, WHISPERS)
            while not closed.is_set():
                message = channel.get_message(timeout=1.0)
                if message is not None and message["channel"] == WHISPERS.encode():
                    whisper = Whisper.parse(message["data"])
                    if whisper is not None:
                        self._overheard(whisper)
                elif message is not None:
                    self._take(message["data"])

    def _take(self, data: bytes) -> None:
        try:
            job_id = UUID(data.decode("ascii"))
        except ValueError:
            return  # not one of ours
        self._heard(job_id)
