"""CUDA graphs and pinned copies, and nothing of either where there is no GPU."""

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

Made = TypeVar("Made")
RECORDING = threading.Lock()
"""A process may record one graph at a time."""
WARM_UPS = 2
"""Runs before the recording: libraries choose their kernels in the first."""


class Recorder(Protocol):
    """Runs what always works on the same tensors, as `Graphs` does."""

    def run(self, key: Hashable, run: Callable[[], Made]) -> Made:
        """What `run` makes. The key stands for it from the first time on."""

    def forget(self) -> None:
        """All of them: their tensors are to go."""


class Graphs:
    """Runs what always works on the same tensors; on a GPU it is recorded once, then replayed.

    As PyTorch's notes on CUDA graphs describe it. All share one pool of memory, so what one has
    made is gone when the next runs. What is recorded must give the same when it runs twice.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._recorded: dict[Hashable, tuple[torch.cuda.CUDAGraph, Any]] = {}
        self._pool: Any = None

    def run(self, key: Hashable, run: Callable[[], Made]) -> Made:
        """What `run` makes. The key stands for it from the first time on."""
        if self._device.type != "cuda":
            return run()
        if key not in self._recorded:
            with RECORDING:
                self._recorded[key] = self._record(run)
        graph, made = self._recorded[key]
        graph.replay()
        found: Made = made
        return found

    def forget(self) -> None:
        """All of them: their tensors are to go."""
        self._recorded.clear()
        self._pool = None

    def _record(self, run: Callable[[], Made]) -> tuple[torch.cuda.CUDAGraph, Made]:
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        here, beside = torch.cuda.current_stream(self._device), _stream(self._device)
        beside.wait_stream(here)
        with torch.cuda.stream(beside):
            for _ in range(WARM_UPS):
                run()
        here.wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        # Others may go on with their work, on streams of their own, while this is recorded.
        with torch.cuda.graph(
            graph, pool=self._pool, stream=beside, capture_error_mode="thread_local"
        ):
            made = run()
        here.wait_stream(beside)
        return graph, made


class Sender:
    """Brings pictures to the device while it computes, through memory that does not move."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = _stream(device) if device.type == "cuda" else None
        self._sent: Any = torch.cuda.Event() if self._stream else None  # type: ignore[no-untyped-call]

    def send(
        self, pictures: Sequence[Any], staging: Tensor, pixels: Tensor, *, first: bool
    ) -> None:
        """(H, W, 3) uint8 pictures into the first rows of `pixels`, before what is computed next.

        `staging` is memory of the same shape on this side, pinned where there is a GPU. `first` of
        a batch: whatever was computed from `pixels`, or sent from `staging`, is waited for.
        """
        count = len(pictures)
        if first and self._sent:
            self._sent.synchronize()
        waiting = staging.numpy()
        for row, picture in enumerate(pictures):
            waiting[row] = picture
        if self._stream is None or self._sent is None:
            pixels[:count].copy_(staging[:count])
            return
        here = torch.cuda.current_stream(self._device)
        if first:
            self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            pixels[:count].copy_(staging[:count], non_blocking=True)
            self._sent.record()
        here.wait_stream(self._stream)


def _stream(device: torch.device) -> torch.cuda.Stream:
    made: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return made
