"""When the next attempt is due: the specification's schedule, with jitter and Retry-After."""

from collections.abc import Callable, Sequence
from random import SystemRandom

from captioner.retry_after import seconds

JITTER = 0.2
"""Share of a wait by which it may be longer, so that receivers are not hit all at once."""
MAX_WAIT_S = 86_400.0
"""The longest wait that a receiver's `Retry-After` may ask for."""
_random = SystemRandom()


def wait_s(
    failures: int,
    waits_s: Sequence[float],
    *,
    retry_after: str = "",
    share: Callable[[], float] = _random.random,
) -> float | None:
    """Seconds until the next attempt after so many failures; `None` when there is to be none.

    `retry_after` is the header as it came: it can make a wait longer, up to a day, not shorter.
    """
    if failures > len(waits_s):
        return None
    planned = waits_s[failures - 1] * (1 + JITTER * share())
    return max(planned, min(seconds(retry_after), MAX_WAIT_S))
