"""`python -m tests.faults.api WITNESS_FILE ORDER_FILE`: `captioner api` that can die on purpose.

While the order file exists, the next submission that has been committed ends its process before
anything is published. The file is removed by that death: one order, one death.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from captioner.publishing import Publisher
from captioner.services import Services
from captioner.work import Parcel

EXIT_CODE = 71


class Mortal:
    """A publisher that ends its process when it is ordered to; otherwise the real one."""

    def __init__(self, publisher: Publisher, order: Path) -> None:
        self._publisher = publisher
        self._order = order

    def publish(self, parcels: Iterable[Parcel], *, hurried: bool) -> None:
        """Hand over, or die."""
        if _taken(self._order):
            os._exit(EXIT_CODE)
        self._publisher.publish(parcels, hurried=hurried)


def _taken(order: Path) -> bool:
    try:
        order.unlink()
    except FileNotFoundError:
        return False
    return True


def main() -> None:
    from api import serving
    from api.app import create_app
    from captioner.intake import Intake
    from captioner.settings import load
    from cli.lifeline import end_with_parent
    from tests.faults import witness

    end_with_parent()
    witness.register_entry(Path(sys.argv[1]))
    order = Path(sys.argv[2])

    class Server(serving.Server):
        def load(self):
            services = Services(load())
            services.intake = Intake(
                services.settings,
                services.database,
                services.blobs,
                Mortal(services.publisher, order),
            )
            return create_app(services)

    Server(load()).run()


if __name__ == "__main__":
    main()
