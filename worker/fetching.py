"""Pictures that come from a URL are fetched here, apart from the captioning of others.

A few threads take one image at a time, those first that are next in line, until none is left. A
host that is slow holds one of these threads, and no task of the queue and no other picture. A job
that holds half of the threads comes after all others: its hosts may all be slow. Once a
picture is stored, its image is queued like any other and gets a message of its own.
"""

import logging
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from uuid import UUID

from captioner import images, jobs, pictures, tracing
from captioner.errors import CaptionerError, DatabaseUnavailable, UrlFetchFailed, UrlUnreachable
from captioner.outbound.client import Outbound
from captioner.pictures import Kept
from captioner.publishing import Publisher
from captioner.work import Claim, Outcome, Parcel
from models import JobState
from worker.flow import Parts
from worker.keeper import safely
from worker.settling import Settling, patiently
from worker.taking import take

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 5.0
"""How long a host that was away is left alone, for one picture. Each time four times as long."""
LONGEST_PAUSE_S = 600.0


class Fetching:
    """Fetches pictures by URL. Thread-safe; opens nothing before the first call."""

    def __init__(self, parts: Parts, publisher: Publisher, *, one_by_one: threading.Lock) -> None:
        self._parts = parts
        self._publisher = publisher
        self._one_by_one = one_by_one
        self._settle = Settling(parts).settle
        self._limits = images.ImageLimits.from_settings(parts.settings)
        self._outbound = Outbound.from_settings(parts.settings)
        self._places = threading.BoundedSemaphore(parts.settings.fetch_concurrency)
        self._busy: Counter[UUID] = Counter()
        """Pictures that are being fetched, by job."""
        self._counting = threading.Lock()
        self._threads = ThreadPoolExecutor(parts.settings.fetch_concurrency, "fetch")

    def look(self) -> None:
        """Begin to fetch where no message said so, or where it was lost."""
        for model in self._parts.settings.served_models:
            self.begin(model)

    def begin(self, model: str) -> None:
        """Fetch what there is to fetch for the model, if a thread is free. Returns at once."""
        if self._parts.draining.is_set() or not self._places.acquire(blocking=False):
            return
        try:
            self._threads.submit(self._run, model).add_done_callback(self._leave)
        except RuntimeError:  # closed meanwhile
            self._places.release()

    def again(self, job_id: UUID, positions: Sequence[int], *, model: str) -> None:
        """Fetch for these images, which lost an attempt, those that wait for it. Returns then.

        Raises `DatabaseUnavailable` when the database was away for long.
        """
        if self._any(model):
            with self._one_by_one:
                for claim in self._claim(model, len(positions), (job_id, positions)):
                    self._fetch(claim)

    def close(self) -> None:
        """End the threads, each after the picture that it fetches."""
        self._threads.shutdown(cancel_futures=True)

    def _leave(self, _: object) -> None:
        self._places.release()

    def _run(self, model: str) -> None:
        safely(partial(self._fetch_all, model), "fetching")

    def _fetch_all(self, model: str) -> None:
        while not self._parts.draining.is_set() and self._any(model):
            claims = self._next(model)
            if not claims:
                return
            with self._counted(claims[0].job_id):
                self.begin(model)  # perhaps there is more
                self._fetch(claims[0])

    def _next(self, model: str) -> list[Claim]:
        half = max(1, self._parts.settings.fetch_concurrency // 2)
        with self._counting:
            busy = [job_id for job_id, pictures in self._busy.items() if pictures >= half]
        found = take(self._parts, model, limit=1, to_fetch=True, not_of=busy)
        return found or (self._claim(model, 1) if busy else [])

    @contextmanager
    def _counted(self, job_id: UUID) -> Iterator[None]:
        with self._counting:
            self._busy[job_id] += 1
        try:
            yield
        finally:
            with self._counting:
                self._busy[job_id] -= 1
                self._busy += Counter()  # without those that have none

    def _any(self, model: str) -> bool:
        with self._parts.database.read() as session:
            return jobs.any_to_fetch(session, model)

    def _claim(
        self, model: str, limit: int, again: tuple[UUID, Sequence[int]] | None = None
    ) -> list[Claim]:
        return take(self._parts, model, limit=limit, again=again, to_fetch=True)

    def _fetch(self, claim: Claim) -> None:
        origin = tracing.origins([claim.job_id]).get(claim.job_id, "")
        span = tracing.span("fetch", origin=origin, position=claim.position)
        with span, self._parts.held.holding([claim]):
            try:
                self._keep(claim, self._picture(claim))
            except UrlUnreachable as error:
                self._later(claim, error)
            except DatabaseUnavailable:  # the lease will run out
                raise
            except CaptionerError as error:
                self._settle([Outcome(claim, error=error)]).result()

    def _picture(self, claim: Claim) -> Kept:
        limit = self._parts.settings.max_image_bytes
        halt, deadline = self._parts.held.halt_of(claim), self._outbound.deadline()
        halt.add_done_callback(lambda _: deadline.cut())
        try:
            data = self._outbound.fetch(str(claim.source_url), max_bytes=limit, deadline=deadline)
        except Exception as error:
            if halt.done():
                raise halt.result() from error
            if isinstance(error, CaptionerError):
                raise
            # Not its message, nor its trace: they may hold the URL.
            marks = {"action": "fetch_failed", "job_id": str(claim.job_id)}
            log.error("Fetching raised %s.", type(error).__name__, extra=marks)
            raise UrlFetchFailed("The URL could not be fetched.") from error
        info = images.inspect(data, self._limits)
        return Kept(self._parts.blobs.put(data), info, lambda: data)

    def _keep(self, claim: Claim, picture: Kept) -> None:
        changed = patiently(lambda: self._store(claim, picture))
        if changed is None:  # another attempt has it, or it is deleted
            return
        self._parts.herald.announce(changed)
        if claim.job_id not in changed:
            parcel = Parcel(claim.job_id, claim.model, (claim.position,), again=claim.alone)
            self._publisher.publish([parcel])

    def _store(self, claim: Claim, picture: Kept) -> dict[UUID, JobState] | None:
        with self._parts.database.write() as session:
            pictures.keep(session, self._parts.blobs, [picture])
            return jobs.fetched(session, claim, picture.sha256)

    def _later(self, claim: Claim, error: UrlUnreachable) -> None:
        tries = claim.fetch_failures + 1
        if tries >= self._parts.settings.url_attempts:
            given_up = UrlFetchFailed(f"{error.detail} It was tried {tries} times.")
            self._settle([Outcome(claim, error=given_up)]).result()
            return
        wait_s = min(FIRST_PAUSE_S * 4**claim.fetch_failures, LONGEST_PAUSE_S)
        self._parts.herald.announce(patiently(lambda: self._hand_back(claim, wait_s)))

    def _hand_back(self, claim: Claim, wait_s: float) -> dict[UUID, JobState]:
        with self._parts.database.write() as session:
            return jobs.fetch_later(session, claim, wait_s=wait_s)
