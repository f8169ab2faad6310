"""Where jobs come from, in Redis, for the traces of those who work on them. It may be lost."""

import logging
import time
from collections.abc import Iterable, Mapping
from uuid import UUID

import redis

log = logging.getLogger(__name__)

PREFIX = "cap:origin:"
KEPT_S = 24 * 3600
SILENCE_S = 10.0
"""A Redis that did not answer is left alone so long."""


class Origins:
    """Job to `traceparent`. Never raises: a trace that is cut is no error. Thread-safe."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._silent_until = 0.0

    def note(self, origins: Mapping[UUID, str]) -> None:
        """Keep these for a day, where nothing is kept yet."""
        if not origins or time.monotonic() < self._silent_until:
            return
        try:
            with self._client.pipeline(transaction=False) as pipeline:
                for job_id, origin in origins.items():
                    pipeline.set(f"{PREFIX}{job_id}", origin, ex=KEPT_S, nx=True)
                pipeline.execute()
        except (redis.RedisError, OSError) as error:
            self._fell_silent(error)

    def of(self, job_ids: Iterable[UUID]) -> dict[UUID, str]:
        """Those that are known."""
        asked = list(dict.fromkeys(job_ids))
        if not asked or time.monotonic() < self._silent_until:
            return {}
        try:
            found = self._client.mget([f"{PREFIX}{job_id}" for job_id in asked])
        except (redis.RedisError, OSError) as error:
            self._fell_silent(error)
            return {}
        pairs = zip(asked, found, strict=True)
        return {job_id: _text(origin) for job_id, origin in pairs if origin}

    def _fell_silent(self, error: Exception) -> None:
        self._silent_until = time.monotonic() + SILENCE_S
        log.warning(
            "Traces are cut (%s); nothing else is.",
            type(error).__name__,
            extra={"action": "origins_lost"},
        )


def _text(found: bytes | str) -> str:
    return found if isinstance(found, str) else found.decode("ascii", "ignore")
