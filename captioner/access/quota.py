"""How many pictures somebody may send in a day."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from captioner.access.limits import Limits, of_a_day
from captioner.errors import QuotaExceeded

WINDOW = "fixed"


class Quota:
    """Counts pictures of each account, for a day from its first one."""

    def __init__(self, limits: Limits | None, *, images_per_day: int) -> None:
        self._limits = limits
        self._day = of_a_day(images_per_day) if images_per_day else None

    @contextmanager
    def taken(self, account: str, images: int) -> Iterator[Callable[[], object]]:
        """Count these pictures. What the block refuses or fails to store counts nothing.

        Gives what is to be called where nothing was made after all. Raises `QuotaExceeded` where
        there is not so much left.
        """
        limits, day = self._limits, self._day
        if limits is None or day is None or not account:
            yield lambda: None
            return
        name = f"images:{account}"
        standing = limits.take(day, name, window=WINDOW, cost=images)
        if not standing.allowed:
            raise QuotaExceeded(
                f"{standing.limit} pictures may be sent in a day, and {standing.remaining} of them "
                f"are left: too few for the {images} of this request.",
                limit=standing.limit,
                remaining=standing.remaining,
                retry_after_s=standing.reset_s,
            )

        def undo() -> None:
            limits.give_back(day, name, cost=images, taken=standing)

        try:
            yield undo
        except BaseException:
            undo()
            raise


UNLIMITED = Quota(None, images_per_day=0)
"""Counts nothing."""
