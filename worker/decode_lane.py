"""One decode child, the slot for its pixels, and the thread that feeds it.

To ask a child costs more than a thumbnail takes to decode, so small pictures that wait are asked
for together. One on which the child dies, or hangs at once, fails; the others are then asked for by
themselves, as they are when anything else goes wrong.

A lane owns its slot for good and has read it before it takes the next picture, so there is nothing
to wait for and nothing to hand back when a child dies. Its process pool holds this one child: what
breaks in there (pebble gives up a pool whose child dies idle) concerns one picture.
"""

import logging
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from captioner.errors import ImageError, ImageUndecodable, ShuttingDown
from captioner.images import ImageLimits, Resampling, Size, may_be
from worker import decode_child
from worker.pixel_slot import PixelSlot, bytes_of
from worker.spawning import CleanSpawnContext

log = logging.getLogger(__name__)

_START_S = 60  # for a child to start and load Pillow, on a busy machine
_ASKED_PER_CHILD = 10_000  # then a fresh one, in case a decoder leaks
SMALL_BYTES = 32 * 1024
"""A file of at most so many bytes is decoded together with others."""
TOGETHER = 32
"""Of these, so many at once at most."""

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class DecodedImage:
    """`pixels`, (height, width, 3) uint8, are the caller's own; `decode_ms` passed in the child."""

    pixels: NDArray[np.uint8]
    decode_ms: float


@dataclass(frozen=True)
class DecodeRules:
    """What holds for every picture; `DecodePool` says what each means."""

    limits: ImageLimits
    timeout_s: float
    memory_bytes: int
    work: decode_child.Work


@dataclass(frozen=True)
class DecodeJob:
    """A picture's bytes, the size wanted, how to get there, and who waits for it."""

    data: bytes
    size: Size
    resampling: Resampling
    future: "Future[DecodedImage]"
    work: decode_child.Work | None = None
    """Instead of the pool's."""

    def goes_with(self, other: "DecodeJob") -> bool:
        """Whether both may be asked for together."""
        alike = (self.size, self.resampling) == (other.size, other.resampling)
        return alike and max(len(self.data), len(other.data)) <= SMALL_BYTES


Jobs = SimpleQueue[DecodeJob | None]


class DecodeLane:
    """Takes jobs from `jobs`, one after another, until it gets None or is stopped.

    `ready` resolves when the child has answered for the first time, or says why it did not.
    """

    def __init__(self, jobs: Jobs, rules: DecodeRules) -> None:
        self.ready: Future[None] = Future()
        self._jobs = jobs
        self._rules = rules
        self._slot = PixelSlot()
        self._held: DecodeJob | None = None
        """Taken from `jobs` already, and next."""
        self._pool: ProcessPool | None = None
        self._pending: ProcessFuture[Any] | None = None
        self._stopping = False
        self._thread = Thread(target=self._serve, name="decode-lane", daemon=True)

    def start(self) -> None:
        """Start the thread, which starts the child."""
        self._thread.start()

    def stop(self) -> None:
        """End the child even in the middle of a picture; the caller still joins."""
        self._stopping = True
        if self._pending is not None:
            self._pending.cancel()  # type: ignore[no-untyped-call]

    def join(self) -> None:
        """Wait until thread, child and shared memory are gone."""
        self._thread.join()

    def _serve(self) -> None:
        try:
            self._prepare()
            while not self._stopping and (jobs := self._next()):
                self._answer([job for job in jobs if job.future.set_running_or_notify_cancel()])
        finally:
            if self._held is not None and self._held.future.set_running_or_notify_cancel():
                self._held.future.set_exception(ShuttingDown("The worker is stopping."))
            self._slot.free()  # first: it cannot fail for want of a child that will not die
            self._drop_pool()

    def _prepare(self) -> None:
        try:
            self.ready.set_result(self._ask(decode_child.ready, timeout_s=_START_S))
        except Exception as error:  # noqa: BLE001 - start() raises it
            self.ready.set_exception(error)

    def _next(self) -> list[DecodeJob]:
        """One job, with those that wait behind it and may go along; none at the end."""
        first, self._held = self._held or self._jobs.get(), None
        if first is None:
            return []
        found = [first]
        while len(found) < TOGETHER and first.goes_with(first):
            # Half of what waits: the other lanes are to have something, too.
            if len(found) > 1 + self._jobs.qsize() // 2:
                break
            try:
                other = self._jobs.get_nowait()
            except Empty:
                break
            if other is None:
                self._jobs.put(None)  # it is one lane's end; this one looks again
                break
            if not first.goes_with(other):
                self._held = other
                break
            found.append(other)
        return found

    def _answer(self, jobs: Sequence[DecodeJob]) -> None:
        for job in self._left(jobs) if len(jobs) > 1 else jobs:
            try:
                job.future.set_result(self._decode(job))
            except Exception as error:  # noqa: BLE001 - the waiter raises it
                job.future.set_exception(error)

    def _left(self, jobs: Sequence[DecodeJob]) -> Sequence[DecodeJob]:
        """Those that have no answer after they were asked for together."""
        size = jobs[0].size
        mark = len(jobs) * bytes_of(size)
        try:
            slot = self._slot.reserve(size, pictures=len(jobs))
            offsets = [n * bytes_of(size) for n in range(len(jobs))]
            tasks = [self._task(job, slot, at) for job, at in zip(jobs, offsets, strict=True)]
            found = self._ask(decode_child.run_each, tasks, mark, timeout_s=self._rules.timeout_s)
            answers = [
                self._answer_of(job, each, offset)
                for job, each, offset in zip(jobs, found, offsets, strict=True)
            ]
        except (ProcessExpired, TimeoutError) as error:
            return self._without_the_culprit(jobs, self._slot.byte(mark), error)
        except Exception as error:  # noqa: BLE001 - whose fault it is, is found out one by one
            log.debug("pictures were not decoded together: %s", type(error).__name__)
            return jobs
        for job, answer in zip(jobs, answers, strict=True):
            if isinstance(answer, ImageError):
                job.future.set_exception(answer)
            else:
                job.future.set_result(answer)
        return ()

    def _without_the_culprit(
        self, jobs: Sequence[DecodeJob], at: int, error: Exception
    ) -> Sequence[DecodeJob]:
        """Those that are not to blame for the child's end; it was at this one. The time that was
        too long was only the first one's for certain.
        """
        certain = isinstance(error, ProcessExpired) or at == 0
        if not certain or at >= len(jobs):
            return jobs
        jobs[at].future.set_exception(self._fault(error))
        return [*jobs[:at], *jobs[at + 1 :]]

    def _fault(self, error: Exception) -> ImageUndecodable:
        if isinstance(error, ProcessExpired):
            return _lost(_death(error.exitcode))
        return _lost(f"it took longer than {self._rules.timeout_s:g} seconds")

    def _answer_of(
        self, job: DecodeJob, found: tuple[float, Size] | Exception, offset: int
    ) -> DecodedImage | ImageError:
        if isinstance(found, ImageError):
            return found
        if isinstance(found, Exception):
            raise found
        return self._read(job, *found, offset=offset)

    def _task(self, job: DecodeJob, slot: str, offset: int = 0) -> decode_child.Task:
        rules = self._rules
        return decode_child.Task(
            job.data, job.size, job.resampling, rules.limits, slot, rules.timeout_s,
            job.work or rules.work,
            offset,
        )  # fmt: skip

    def _decode(self, job: DecodeJob) -> DecodedImage:
        task = self._task(job, self._slot.reserve(job.size))
        try:
            decode_ms, size = self._run(task)
        except (ProcessExpired, TimeoutError) as error:
            raise self._fault(error) from error
        except MemoryError as error:
            raise _lost("it takes more memory than one picture may use") from error
        except CancelledError as error:
            raise ShuttingDown("The worker is stopping; send the picture again.") from error
        return self._read(job, decode_ms, size)

    def _read(
        self, job: DecodeJob, decode_ms: float, size: Size, *, offset: int = 0
    ) -> DecodedImage:
        if not may_be(size, job.size):  # the child's word is not to be trusted
            raise _lost(f"its decoder spoke of {size} pixels")
        return DecodedImage(self._slot.read(size, offset=offset), decode_ms)

    def _run(self, task: decode_child.Task) -> tuple[float, Size]:
        try:
            return self._ask(decode_child.run, task, timeout_s=self._rules.timeout_s)
        except BrokenProcessPool:
            # The child died before it took the picture, which is therefore not to blame.
            log.warning("↻ a decode child died idle", extra={"action": "decode_child_replaced"})
            self._drop_pool()
            return self._ask(decode_child.run, task, timeout_s=self._rules.timeout_s)

    def _ask(self, function: Callable[..., Answer], *args: object, timeout_s: float) -> Answer:
        self._pool = self._pool or self._new_pool()
        try:
            pending = self._pool.schedule(function, args=args, timeout=timeout_s)
        except RuntimeError as error:
            raise BrokenProcessPool(str(error)) from error
        self._pending = pending
        if self._stopping:  # it may have been set before there was anything to cancel
            pending.cancel()  # type: ignore[no-untyped-call]
        try:
            return pending.result(timeout_s + _START_S)
        except TimeoutError as error:
            if pending.done():
                raise
            raise BrokenProcessPool("no child took the picture") from error

    def _new_pool(self) -> ProcessPool:
        return ProcessPool(
            max_workers=1,
            max_tasks=_ASKED_PER_CHILD,
            initializer=decode_child.confine,
            initargs=(self._rules.memory_bytes,),
            context=CleanSpawnContext(),
        )

    def _drop_pool(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()  # type: ignore[no-untyped-call]
            pool.join()


def _lost(cause: str) -> ImageUndecodable:
    log.warning("decoding stopped: %s", cause, extra={"action": "decode_stopped"})
    return ImageUndecodable(f"Decoding was stopped: {cause}. Make it smaller or save it anew.")


def _death(exit_code: int) -> str:
    if -exit_code == signal.SIGXCPU:
        return "it took more processor time than one picture may use"
    if -exit_code == signal.SIGKILL:
        return "its process was killed, most likely for want of memory"
    name = signal.Signals(-exit_code).name if exit_code < 0 else f"exit code {exit_code}"
    return f"the decoder crashed on it ({name})"
