"""The one work story: claim, read, decode, caption, store.

    message -> claim -> blob -> decode pool -> batcher -> conditional update -> wake the waiters

No database session is open while an image is worked on. Each result is stored as it lands.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from uuid import UUID

from captioner import queries
from captioner.errors import CaptionerError, DatabaseUnavailable
from captioner.work import Claim, Outcome
from worker import spans
from worker.engines.house import Resident
from worker.engines.places import Unwanted
from worker.flow import Flow, Parts
from worker.room import BATCHES, Room
from worker.settling import Settling, patiently
from worker.spans import NoSpans
from worker.taking import take


class Pipeline:
    """Works through messages. `run` is called from many threads at once."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._settle = Settling(parts).settle
        images = BATCHES * parts.settings.max_batch
        self._rooms: defaultdict[str, Room] = defaultdict(
            lambda: Room(images, leaving=parts.draining)
        )
        self.one_by_one = threading.Lock()
        """Held by whoever works on an image that lost an attempt."""

    def run(self, model: str, *, limit: int) -> None:
        """Caption the images of the model that are next in line, and store what becomes of each.

        Every message takes as many as it names, so there are messages enough for all, and which
        image goes first is decided when a worker is free, not when the message was sent.

        Never raises for a fault of a picture or a model: it is stored as that image's error.
        Raises `DatabaseUnavailable` when the database was away for long, and `ShuttingDown` when
        nothing was taken because this worker is leaving.
        """
        with self._rooms[model].taking(limit):
            self._work(model, lambda: take(self._parts, model, limit=limit))

    @property
    def crowded(self) -> bool:
        """Whether messages wait here until others are through."""
        return any(room.crowded for room in list(self._rooms.values()))

    def run_beside(self, model: str, *, limit: int) -> None:
        """As `run`, at once, however much is in hand, for small jobs at the head of the line alone.

        An image of a large one would hold the thread until its turn comes.
        """
        self._work(model, lambda: take(self._parts, model, limit=limit, hurried=True))

    def run_again(self, job_id: UUID, positions: Sequence[int], *, model: str) -> None:
        """As `run`, for these images, which lost an attempt.

        This process then holds no other such image, so that one that kills the process takes none
        of them along.
        """
        with self.one_by_one:
            named = (job_id, positions)
            self._work(model, lambda: take(self._parts, model, limit=len(positions), again=named))

    def _work(self, model: str, claim: Callable[[], list[Claim]]) -> None:
        # The engine first: images that nobody works on yet are still anyone's.
        house = self._parts.house
        with ExitStack() as stack:
            found: Resident | CaptionerError
            try:
                found = stack.enter_context(house.using(model, wanted=lambda: self._left(model)))
            except Unwanted:
                return
            except CaptionerError as error:
                found = error
            since_ns = time.time_ns()
            claims = patiently(claim)
            if claims:
                stack.enter_context(self._parts.held.holding(claims))
                self._caption(model, found, claims, spans.of(claims, since_ns=since_ns))

    def _left(self, model: str) -> bool:
        """Whether there is an image for a message of the model: a late one may find none left."""
        with suppress(DatabaseUnavailable), self._parts.database.read() as session:
            return queries.any_queued(session, model=model)
        return True  # nobody knows: taking images waits for the database

    def _caption(
        self,
        model: str,
        found: Resident | CaptionerError,
        claims: list[Claim],
        traced: NoSpans,
    ) -> None:
        if isinstance(found, CaptionerError):
            outcomes = [Outcome(claim, error=found) for claim in claims]
            ending = self._settle(outcomes)
            traced.landed(outcomes, ending)
            ending.result()
            return
        flow, stored = Flow(self._parts, found, claims, traced), []
        with self._parts.pace.working(model):
            while landed := flow.advance():
                stored.append(self._settle(landed))  # while the others go on
                traced.landed(landed, stored[-1])
                self._parts.meters.landed(model, landed)
                self._parts.pace.done(model, sum(map(_was_worked_on, landed)))
        for each in stored:
            each.result()


def _was_worked_on(outcome: Outcome) -> bool:
    return outcome.timings.decode_ms is not None
