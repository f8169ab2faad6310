"""The claims that this process works on right now, so that their leases can be renewed."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from captioner.work import Claim


class HeldClaims:
    """A set of claims. Thread-safe."""

    def __init__(self) -> None:
        self._claims: set[Claim] = set()
        self._lock = threading.Lock()

    @contextmanager
    def holding(self, claims: Sequence[Claim]) -> Iterator[None]:
        """Count these claims as held while the block runs."""
        with self._lock:
            self._claims.update(claims)
        try:
            yield
        finally:
            self.drop(claims)

    def drop(self, claims: Sequence[Claim]) -> None:
        """Hold these no longer: they are finished or handed back."""
        with self._lock:
            self._claims.difference_update(claims)

    def all(self) -> list[Claim]:
        """What is held at this moment."""
        with self._lock:
            return list(self._claims)
