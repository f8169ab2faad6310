"""One run of `captioner caption`: a few threads, each with one request under way."""

import queue
from collections.abc import Iterable, Iterator, Sequence
from threading import Event, Lock, Thread

from cli.answers import Refused
from cli.batches import batches
from cli.client import ServerAway, Stopped
from cli.follow import Follower
from cli.outcome import Outcome
from cli.output import Writer
from cli.pictures import Picture
from cli.progress import Progress
from cli.tally import Tally

GRACE_S = 2.0
LOOK_EVERY_S = 0.1


class Ledger:
    """Writes outcomes and counts them, one at a time, until it is closed."""

    def __init__(self, writer: Writer, progress: Progress, tally: Tally, *, tell: bool) -> None:
        self.writer, self.tally = writer, tally
        self._progress = progress
        self._tell = tell
        self._lock = Lock()
        self._closed = False

    def finish(self, outcome: Outcome) -> None:
        """Keep what became of one picture."""
        with self._lock:
            if self._closed:
                return
            outcome = self.writer.write(outcome)
            self.tally.captioned += outcome.failure is None
            self.tally.failed += outcome.failure is not None
            if outcome.failure and self._tell:
                failure = outcome.failure
                name = outcome.picture.name
                self._progress.say(f"failed: {name}: {failure.detail} ({failure.code})")
            self._progress.update(self.tally)

    def skips(self, picture: Picture) -> bool:
        """Whether an earlier run captioned it; counted here."""
        with self._lock:
            skipped = self.writer.has(picture)
            self.tally.skipped += skipped
            self._progress.update(self.tally)
        return skipped

    def close(self) -> None:
        """Nothing is written from here on, whatever threads still do."""
        with self._lock:
            self._closed = True


class Run:
    """Hands batches to `jobs` threads. It ends early when the server is gone or refuses."""

    def __init__(
        self, follower: Follower, ledger: Ledger, *, jobs: int, batch: int, stop: Event
    ) -> None:
        self._follower, self._ledger = follower, ledger
        self._batch = batch
        self._stop = stop
        self._closing = Event()
        self._waiting: queue.Queue[Sequence[Picture] | None] = queue.Queue(maxsize=jobs)
        self._threads = [Thread(target=self._work, daemon=True) for _ in range(jobs)]
        self.error: Exception | None = None

    def caption(self, pictures: Iterable[Picture]) -> None:
        """Caption them all; `error` holds what ended the run before its time, if anything."""
        for thread in self._threads:
            thread.start()
        try:
            for batch in batches(self._wanted(pictures), size=self._batch):
                if not self._put(batch):
                    break
            for _ in self._threads:
                self._put(None)
            for thread in self._threads:
                thread.join()
        except BaseException:
            self._abandon()
            raise

    def _wanted(self, pictures: Iterable[Picture]) -> Iterator[Picture]:
        return (picture for picture in pictures if not self._ledger.skips(picture))

    def _put(self, batch: Sequence[Picture] | None) -> bool:
        while not self._closing.is_set():
            try:
                self._waiting.put(batch, timeout=LOOK_EVERY_S)
            except queue.Full:
                continue
            return True
        return False

    def _work(self) -> None:
        while not self._closing.is_set():
            try:
                batch = self._waiting.get(timeout=LOOK_EVERY_S)
            except queue.Empty:
                continue
            if batch is None:
                return
            self._caption(batch)

    def _caption(self, batch: Sequence[Picture]) -> None:
        try:
            self._follower.caption(batch)
        except Stopped:
            pass
        except (Refused, ServerAway) as error:
            self._end(error)
        except Exception as error:  # noqa: BLE001 (a full disk: the main thread reports it)
            self._end(error)
            self._stop.set()

    def _end(self, error: Exception) -> None:
        self.error = self.error or error
        self._closing.set()

    def _abandon(self) -> None:
        self._closing.set()
        self._stop.set()
        for thread in self._threads:
            thread.join(GRACE_S / len(self._threads))
        self._ledger.close()
