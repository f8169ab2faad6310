"""`python -m tests.faults.bent_worker WITNESS_FILE [option...]`: a worker with something wrong.

Each option bends one thing, from outside: Celery's configuration and signals, the clock, the hub.
"""

import argparse
import os
import sys
import threading
import time
from pathlib import Path

DIED_BEFORE_ACK = 72
GATHER_S = 1.0
REPOSITORY = "nobody/witness"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("witness_file", type=Path)
    parser.add_argument("--clock-s", type=float, help="how far this process's clock is off")
    parser.add_argument("--visibility-s", type=int, help="when Redis gives a message to another")
    parser.add_argument("--die-before-ack", type=Path, help="while this file exists")
    parser.add_argument("--die-with", type=int, default=1, help="so many tasks, all committed")
    parser.add_argument("--hub", help="where the model must be fetched before it is there")
    return parser.parse_args()


def shift_clock(seconds: float) -> None:
    """This process's `time.time` is wrong from now on; to be called before anything imports it."""
    right = time.time
    time.time = lambda: right() + seconds


class Gate:
    """Tasks that have committed wait here; then the process dies with all of them."""

    def __init__(self, order: Path, size: int) -> None:
        self._order = order
        self._full = threading.Barrier(size)

    def after_commit(self, **_: object) -> None:
        """As a receiver of Celery's signal between a task's end and its acknowledgement."""
        if self._order.exists():
            try:
                self._full.wait(GATHER_S)
            except threading.BrokenBarrierError:
                if not self._order.exists():
                    return
            os._exit(DIED_BEFORE_ACK)


def by_way_of(hub: str) -> None:
    """The witness's model must come from the hub before it can be used."""
    os.environ |= {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}
    from tests.faults import witness
    from worker.engines import kinds, weights

    class Maker(witness.WitnessMaker):
        def make(self, entry):
            weights.fetch(REPOSITORY, revision="main")
            return super().make(entry)

    kinds.KINDS["witness"] = lambda _settings: Maker()


def main() -> None:
    given = arguments()
    if given.clock_s:
        shift_clock(given.clock_s)
    from celery.signals import task_postrun

    from cli.worker import worker
    from tests.faults import witness

    witness.register(given.witness_file)
    if given.hub:
        by_way_of(given.hub)
    if given.die_before_ack:
        gate = Gate(given.die_before_ack, given.die_with)
        task_postrun.connect(gate.after_commit, weak=False)
    if given.visibility_s:
        from worker.app import app

        app.conf.visibility_timeout = given.visibility_s
        app.conf.broker_transport_options["visibility_timeout"] = given.visibility_s
    sys.argv[1:] = []
    worker(args=["--end-with-parent"], prog_name="worker")


if __name__ == "__main__":
    main()
