"""Decodes pictures in child processes, so that a hostile one harms nothing but itself.

A queue and a few lanes (`decode_lane`), each with a child of its own. Nothing here knows models.
"""

from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Lock
from types import TracebackType
from typing import Self

from captioner.errors import ShuttingDown
from captioner.images import ImageLimits, Resampling, Size
from worker.decode_child import Work, decode_and_fit
from worker.decode_lane import DecodedImage, DecodeJob, DecodeLane, DecodeRules, Jobs

__all__ = ["DecodePool", "DecodedImage"]


class DecodePool:
    """`processes` children that decode and resize, every picture under limits of time and memory.

    `timeout_s`: wall time for one picture, and its allowance of processor time.
    `memory_bytes`: address space that a child may take beyond what its libraries need.
    `work`: decodes one picture; lives in a module that children can import.
    """

    def __init__(
        self,
        *,
        limits: ImageLimits,
        processes: int,
        timeout_s: float,
        memory_bytes: int,
        work: Work = decode_and_fit,
    ) -> None:
        self._jobs: Jobs = SimpleQueue()
        rules = DecodeRules(limits, timeout_s, memory_bytes, work)
        self._lanes = [DecodeLane(self._jobs, rules) for _ in range(processes)]
        self._lock = Lock()
        self._started = False
        self._closed = False

    def start(self) -> None:
        """Start the children and wait until each has answered. Raises what kept one from it."""
        with self._lock:
            self._refuse_if_closed()
            lanes = [] if self._started else self._lanes
            self._started = True
            for lane in lanes:
                lane.start()
        try:
            for lane in self._lanes:
                lane.ready.result()
        except BaseException:
            self.close()
            raise

    def submit(
        self,
        data: bytes,
        *,
        size: Size,
        resampling: Resampling = Resampling.BICUBIC,
        work: Work | None = None,
    ) -> "Future[DecodedImage]":
        """Queue a picture, to be had as (height, width, 3) for a `size` of (height, width): just
        that, or less where it is `Within`. `work` decodes this one instead of the pool's.

        Never blocks. The future raises `ImageError` when the picture is at fault: that includes a
        child that crashed on it, took too long or wanted too much memory (`ImageUndecodable`; the
        detail says which). It raises `ShuttingDown` when the pool is closed meanwhile. Anything
        else, such as `BrokenProcessPool` or `OSError`, is the machine's fault: it may work later.
        """
        future: Future[DecodedImage] = Future()
        with self._lock:
            self._refuse_if_closed()
            if not self._started:
                raise RuntimeError("start() comes before submit()")
            self._jobs.put(DecodeJob(data, size, resampling, future, work))
        return future

    def close(self) -> None:
        """End children and threads, give the shared memory back; pictures under way are dropped.

        Prompt, also while a child is busy, and harmless when repeated.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            lanes = self._lanes if self._started else []
        for lane in lanes:
            lane.stop()
        self._drop_queued()
        for _ in lanes:
            self._jobs.put(None)
        for lane in lanes:
            lane.join()

    def __enter__(self) -> Self:
        """`start()`, for use in a `with` statement."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """`close()`."""
        self.close()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise ShuttingDown("The decode pool is closed; send the picture again.")

    def _drop_queued(self) -> None:
        while True:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                return
            if job is not None and job.future.set_running_or_notify_cancel():
                job.future.set_exception(ShuttingDown("The worker is stopping; send it again."))
