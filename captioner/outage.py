"""What is known to be away is asked by one caller at a time; the others hear so at once.

So callers do not pile up behind a server that is silent, and the first to ask after it is back ends
the outage for all.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from captioner.errors import DatabaseUnavailable


class Outage:
    """Whether the database is known to be away. Thread-safe.

    `is_outage` tells the errors that mean it from those of a database that does answer; of errors
    that say nothing of it, `None`.
    """

    def __init__(self, is_outage: Callable[[Exception], bool | None]) -> None:
        self._is_outage = is_outage
        self._known = False
        self._asking = threading.Lock()
        self._asker: int | None = None

    @property
    def others_ask(self) -> bool:
        """Whether it is known, and this thread is not the one to find out whether it is over."""
        return self._known and self._asker != threading.get_ident()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Learn from how the block ends. Raises `DatabaseUnavailable`, without running it, while
        somebody else finds out whether the database is back."""
        asking = self._known
        if asking and not self._asking.acquire(blocking=False):
            raise DatabaseUnavailable("The database does not answer. Try again shortly.")
        if asking:
            self._asker = threading.get_ident()
        try:
            yield
        except Exception as error:
            verdict = self._is_outage(error)
            self._known = self._known if verdict is None else verdict
            raise
        else:
            self._known = False
        finally:
            if asking:
                self._asker = None
                self._asking.release()
