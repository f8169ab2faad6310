"""`python -m tests.faults.before_commit N`: `captioner api` that dies before it commits.

Each process of it ends, as by -9, when the N-th of its submissions has been written and is about to
be committed. gunicorn starts another in its place.
"""

import itertools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from captioner.database import Database

EXIT_CODE = 72


class Dying(Database):
    """A database whose N-th transaction of this process is its last."""

    def __init__(self, url: str, *, last: int) -> None:
        super().__init__(url)
        self._numbers = itertools.count(1)
        self._last = last

    @contextmanager
    def write(self) -> Iterator[Session]:
        with super().write() as session:
            yield session
            session.flush()
            if next(self._numbers) >= self._last:
                os._exit(EXIT_CODE)


def main() -> None:
    from api import serving
    from api.app import create_app
    from captioner.intake import Intake
    from captioner.services import Services
    from captioner.settings import load
    from cli.lifeline import end_with_parent

    end_with_parent()
    last = int(sys.argv[1])

    class Server(serving.Server):
        def load(self):
            services = Services(load())
            database = Dying(services.settings.database, last=last)
            services.intake = Intake(
                services.settings, database, services.blobs, services.publisher
            )
            return create_app(services)

    Server(load()).run()


if __name__ == "__main__":
    main()
