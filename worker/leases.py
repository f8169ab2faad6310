"""The claims that this process works on right now: to renew their leases, or to stop their work."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

from captioner.errors import CaptionerError
from captioner.work import Claim

Halt = Future[CaptionerError]
"""Done once work on a claim is in vain: its result is what the claim's image says of it."""


class HeldClaims:
    """A set of claims, each with its halt. Thread-safe."""

    def __init__(self) -> None:
        self._halts: dict[Claim, Halt] = {}
        self._lock = threading.Lock()

    @contextmanager
    def holding(self, claims: Sequence[Claim]) -> Iterator[None]:
        """Count these claims as held while the block runs."""
        with self._lock:
            self._halts.update((claim, Halt()) for claim in claims)
        try:
            yield
        finally:
            self.drop(claims)

    def drop(self, claims: Sequence[Claim]) -> None:
        """Hold these no longer: they are finished or handed back."""
        with self._lock:
            for claim in claims:
                self._halts.pop(claim, None)

    def all(self) -> list[Claim]:
        """What is held at this moment."""
        with self._lock:
            return list(self._halts)

    def halt_of(self, claim: Claim) -> Halt:
        """The claim's halt; one that is never done for a claim that is not held."""
        with self._lock:
            return self._halts.get(claim) or Halt()

    def stop(self, claim: Claim, why: CaptionerError) -> None:
        """Have the work on a claim stopped. It stays held until the work has really ended."""
        with self._lock:
            halt = self._halts.get(claim)
            if halt is None or halt.done():
                return
        halt.set_result(why)
