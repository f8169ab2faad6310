"""How large a batch memory allows: learned from those for which it ran out."""

PROOF = 64
"""Full batches in a row after which one more item is tried. Twice as many after each failure."""


class Ceiling:
    """The largest batch to try. It falls to half at once, and grows back one by one."""

    def __init__(self, most: int) -> None:
        self._most = self._safe = self._limit = most
        self._full = 0
        self._proof = PROOF

    @property
    def limit(self) -> int:
        """The largest batch that may be tried now: one above what is safe, at times."""
        return self._limit

    def worked(self, size: int) -> None:
        """A batch of so many items had memory enough."""
        if size > self._safe:
            self._safe, self._full, self._proof = size, 0, PROOF
            self._limit = max(self._limit, size)
        elif size == self._safe < self._most:
            self._full += 1
            if self._full >= self._proof:
                self._limit, self._full = self._safe + 1, 0

    def failed(self, size: int) -> None:
        """A batch of so many items had not."""
        if size == self._limit > self._safe:
            self._proof *= 2
        elif size <= self._safe:  # else it is a half of a batch that was too large
            self._safe = max(1, size // 2)
        self._limit, self._full = self._safe, 0
