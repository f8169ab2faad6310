"""Images of small jobs do not wait until a worker that is full has room.

A message of theirs stands behind those of a large job, in the broker and before the worker's room.
So while messages wait here, this looks whether a small job is next in line, and begins with it
beside what is in hand. Its place in the next batch is the batcher's business.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import BoundedSemaphore

from captioner import jobs
from captioner.jobs.ranking import FEW
from worker.flow import Parts
from worker.keeper import safely
from worker.pipeline import Pipeline

LOOK_S = 0.05
"""Seconds between two looks, while messages wait, at least."""
PART = 16
LONGEST_S = 0.5
"""Where batches take long, looks are a part of a batch apart, and so long at most: a look takes
time from the engine, and what it finds waits for the end of a batch anyway.
"""
THREADS = 4
"""How many are worked on like that at once, each with `FEW` images at most."""


class Overtaking:
    """One look at a time: `look` is called again and again by the keeper."""

    def __init__(self, parts: Parts, pipeline: Pipeline) -> None:
        self._parts = parts
        self._pipeline = pipeline
        self._places = BoundedSemaphore(THREADS)
        self._threads = ThreadPoolExecutor(THREADS, "overtaking")
        self._due = 0.0

    def look(self) -> None:
        """Begin with images of small jobs that are next in line. Asks nothing while there is room.

        Returns at once.
        """
        now = time.monotonic()
        if now < self._due or not self._pipeline.crowded:
            return
        self._due = now + min(self._parts.house.batch_s() / PART, LONGEST_S)
        for model in self._parts.settings.served_models:
            if not self._parts.house.waits_for(model) and self._any(model):
                self._begin(model)

    def close(self) -> None:
        """End the threads, each after the images that it has."""
        self._threads.shutdown(cancel_futures=True)

    def _begin(self, model: str) -> None:
        if self._parts.draining.is_set() or not self._places.acquire(blocking=False):
            return
        try:
            run = partial(self._pipeline.run_beside, model, limit=FEW)
            self._threads.submit(safely, run, "overtaking").add_done_callback(self._leave)
        except RuntimeError:  # closed meanwhile
            self._places.release()

    def _leave(self, _: object) -> None:
        self._places.release()

    def _any(self, model: str) -> bool:
        with self._parts.database.read() as session:
            return jobs.hurried_next(session, model)
