"""How often something may happen, counted in Redis, where all API processes see the same count.

The counting is that of the library `limits`. Where Redis does not answer, each process counts by
itself for a while: then a limit holds for each process, and nobody is shut out. See docs/adr/0030.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

import redis
from limits import RateLimitItem, RateLimitItemPerDay, parse_many
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, RateLimiter

from captioner.cache import AWAY_S, connect
from captioner.settings import Settings

log = logging.getLogger(__name__)

PREFIX = "cap:limit"
WINDOWS: dict[str, type[RateLimiter]] = {
    "moving": MovingWindowRateLimiter,
    "fixed": FixedWindowRateLimiter,
}
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Standing:
    """Where somebody stands with a limit, after what was counted."""

    allowed: bool
    limit: int
    remaining: int
    reset_s: int
    """Seconds until there is more, at least 1."""
    counted_in: Any = field(default=None, repr=False, compare=False)
    """Where it was counted: in Redis, or by this process."""


class Limits:
    """Counts. Thread-safe; opens no connection and starts no thread before it is asked."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._shared: RedisStorage | None = None
        self._own: MemoryStorage | None = None
        self._away_until = 0.0

    def take(self, item: RateLimitItem, name: str, *, window: str, cost: int = 1) -> Standing:
        """Count so much for this name, if there is so much left; else count nothing."""
        return self._ask(lambda storage: _take(WINDOWS[window](storage), item, name, cost))

    def give_back(self, item: RateLimitItem, name: str, *, cost: int, taken: Standing) -> None:
        """Count so much less, of what was taken from a fixed window: there where it was counted.

        If that does not answer any more it stays counted, until the window ends.
        """
        try:
            FixedWindowRateLimiter(taken.counted_in).hit(item, name, cost=-cost)
        except (redis.RedisError, OSError) as error:
            log.warning(
                "What was refused stays counted: Redis does not answer (%s).",
                type(error).__name__,
                extra={"action": "limits_kept"},
            )

    def look(self, item: RateLimitItem, name: str) -> Standing:
        """Where the name stands with a fixed window; counts nothing."""
        return self._ask(lambda storage: _standing(FixedWindowRateLimiter(storage), item, name))

    def _ask(self, question: Callable[[Any], Answer]) -> Answer:
        if time.monotonic() >= self._away_until:
            if self._away_until:
                self._away_until = time.monotonic() + AWAY_S  # the others leave it to this caller
            try:
                answer = question(self._redis())
            except (redis.RedisError, OSError) as error:
                self._away_until = time.monotonic() + AWAY_S
                log.warning(
                    "Redis does not answer (%s): this process counts requests by itself.",
                    type(error).__name__,
                    extra={"action": "limits_alone"},
                )
            else:
                self._away_until = 0.0
                return answer
        return question(self._memory())

    def _redis(self) -> RedisStorage:
        with self._lock:
            if self._shared is None:
                url = self._settings.redis_url
                pool = connect(url).connection_pool
                self._shared = RedisStorage(url, connection_pool=pool, key_prefix=PREFIX)
            return self._shared

    def _memory(self) -> MemoryStorage:
        with self._lock:
            if self._own is None:
                self._own = MemoryStorage()
            return self._own


@lru_cache(maxsize=16)
def several(text: str) -> Sequence[RateLimitItem]:
    """Limits from `10/second; 600/minute`. Raises `ValueError` for other text."""
    return parse_many(text) if text.strip() else []


def of_a_day(amount: int) -> RateLimitItem:
    """So many a day, from the first of them."""
    return RateLimitItemPerDay(amount)


def _take(limiter: RateLimiter, item: RateLimitItem, name: str, cost: int) -> Standing:
    if not isinstance(limiter, FixedWindowRateLimiter):
        return _standing(limiter, item, name, allowed=limiter.hit(item, name, cost=cost))
    # It counts what it refuses, too, which others must not meet: so it is asked first.
    allowed = limiter.test(item, name, cost=cost)
    if allowed and not limiter.hit(item, name, cost=cost):
        allowed = False
        limiter.hit(item, name, cost=-cost)  # another took the rest in between
    return _standing(limiter, item, name, allowed=allowed)


def _standing(
    limiter: RateLimiter, item: RateLimitItem, name: str, *, allowed: bool | None = None
) -> Standing:
    stats = limiter.get_window_stats(item, name)
    left, reset_s = max(0, stats.remaining), max(1, round(stats.reset_time - time.time() + 0.5))
    free = left > 0 if allowed is None else allowed
    return Standing(free, item.amount, left, reset_s, counted_in=limiter.storage)
