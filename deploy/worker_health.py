"""Ends with 0 when a worker of this host gave a sign of life lately; the image's health check.

It asks what `/readyz` asks: the worker's row in the database. A worker that has lost the database
stops renewing that row; one whose engine hangs ends by itself (`worker.watchdog`).
"""

import re
import socket
import sys

from captioner import queries
from captioner.database import Database
from captioner.errors import CaptionerError
from captioner.settings import Settings, load


def is_alive(settings: Settings, host: str) -> bool:
    """Whether a live worker is named for this host: `captioner@HOST-PROCESS`."""
    ours = re.compile(rf"[^@]+@{re.escape(host)}-\d+")
    with Database(settings.database).read() as session:
        workers = queries.live_workers(session, heartbeat_s=settings.heartbeat_s)
        return any(ours.fullmatch(worker.name) for worker in workers)


def main() -> str | None:
    """What is wrong, or nothing: `sys.exit` makes 1 or 0 of it, as Docker wants."""
    try:
        alive = is_alive(load(), socket.gethostname())
    except CaptionerError as error:
        return error.detail
    return None if alive else "no sign of life lately"


if __name__ == "__main__":
    sys.exit(main())
