"""BLIP on a GPU: everything a step touches lies still, so that a step is the replay of one graph.

It knows PyTorch alone. On a CPU the same code runs without graphs and streams, and answers in
float32 as the reference does, token by token; so it is tested where there is no GPU.

What a picture costs in BLIP-base's real size, with 20 tokens, on an H200 (790 TFLOP/s of bfloat16
in a plain product, 4.3 TB/s in a copy):

    vision tower   110 GFLOP                                  0.14 ms at the peak
    memory          16 GFLOP, 21 MB written                   0.02 ms, 0.01 ms
    20 steps        20 times those 21 MB read                 0.10 ms
    weights         0.25 GB read for each step of a batch     0.01 ms in a batch of 128

So about 0.28 ms, 3,600 pictures/s, if nothing ran beside anything else; steps wait for memory and
the tower for arithmetic, so two batches side by side, on two streams, may do better. Alone, a
picture waits for 20 times 12 layers of small kernels: that is what graphs are for.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from worker.engines.blip_caches import LENGTHS, Caches, fitting
from worker.engines.blip_network import Memory, Step, Vision
from worker.engines.decoding import Writer
from worker.engines.graphs import Graphs, Recorder, Sender

ROWS = 16
"""For which there is room, at the least. More is made when it is needed."""
AT_ONCE = 64
"""Pictures that go through the tower together: the next ones are copied meanwhile."""
GRAPHED = 16
"""Pictures, at most, for which the tower is a graph too. More keep the GPU busy without."""


class StaticNetwork:
    """BLIP's weights, with room for one batch at a time. Not thread-safe.

    It works on the stream that is current, so that two of them, on weights that they share, can
    work side by side. `levels` is (256, 3): what the image processor makes of each level.
    """

    def __init__(
        self,
        model: Any,
        *,
        levels: Tensor,
        device: torch.device,
        dtype: torch.dtype,
        graphs: Recorder | None = None,
    ) -> None:
        self._vision = Vision(model.vision_model)
        self._memory = Memory(model.text_decoder)
        self._step = Step(model.text_decoder)
        self._shape = (model.config.vision_config, model.config.text_config)
        self._levels = levels.T.to(device, dtype).flatten()  # (3 * 256,)
        self._offsets = torch.arange(0, 3 * 256, 256, device=device).view(3, 1, 1)
        self._device, self._dtype = device, dtype
        self._graphs, self._sender = graphs or Graphs(device), Sender(device)
        self.caches: Caches | None = None
        """Of the batch that was looked at last; there is room from the first one on."""
        self._turn = 0

    @torch.inference_mode()
    def warm_up(self, rows: int = ROWS) -> None:
        """Make room for so many, and the graphs of every smaller batch. What it makes is lost when
        more room is made later, so ask for the most at once.
        """
        size = self._shape[0].image_size
        grey = torch.full((size, size, 3), 128, dtype=torch.uint8).numpy()
        rows = self.make_room(rows).rows
        while rows:
            self.look_at([grey] * rows).step(torch.zeros(rows, 1, dtype=torch.long))
            rows //= 2

    @torch.inference_mode()
    def look_at(self, pictures: Sequence[Any]) -> Writer:
        """See (H, W, 3) uint8 pictures; write of each. Earlier writers end with that."""
        count = len(pictures)
        caches = self.make_room(count)
        for start in range(0, count, AT_ONCE):
            some = pictures[start : start + AT_ONCE]
            self._sender.send(some, caches.staging[start:], caches.pixels[start:], first=not start)
            self._encode(caches, start, start + len(some))
        self._turn += 1
        return _StaticWriter(self, count, self._turn)

    def _encode(self, caches: Caches, start: int, stop: int) -> None:
        def encode(rows: slice) -> None:
            patches = self._vision(self._values(caches.pixels[rows]))
            for kept, new in zip(caches.memory, self._memory.each(patches), strict=True):
                kept[rows].copy_(new)

        if start == 0 and stop <= GRAPHED:
            bucket = fitting_rows(stop)
            self._graphs.run(("encode", bucket), lambda: encode(slice(0, bucket)))
        else:
            encode(slice(start, stop))

    def _values(self, pixels: Tensor) -> Tensor:
        # (B, H, W, 3) uint8 -> (B, 3, H, W), by looking each level up
        return self._levels.take(pixels.permute(0, 3, 1, 2).long() + self._offsets)

    @torch.inference_mode()
    def step(self, turn: int, rows: int, before: int, tokens: Tensor) -> Tensor:
        """(B, V) float32 logits after (B, T) tokens, of which `before` come before."""
        caches = self._of(turn)
        count = tokens.shape[1]
        length, earlier = fitting(LENGTHS, before + count), _room_of(before)
        if earlier < length:
            caches.enter(length, rows, from_=earlier)
        bucket = fitting_rows(rows) if count == 1 else rows
        tokens = tokens.to(self._device)
        if count > 1:  # a prompt: once for each caption
            places = torch.arange(before, before + count, device=self._device)
            return self._written(caches, tokens, places, bucket, length)
        caches.tokens[:rows].copy_(tokens)
        caches.place.fill_(before)
        made = self._graphs.run(
            ("step", bucket, length),
            lambda: self._written(caches, caches.tokens[:bucket], caches.place, bucket, length),
        )
        return made[:rows]

    def _written(
        self, caches: Caches, tokens: Tensor, places: Tensor, rows: int, length: int
    ) -> Tensor:
        seen = torch.arange(length, device=self._device) <= places[:, None]  # (T, length)

        def past_with(number: int, new: Tensor) -> Tensor:
            kept = caches.past(length)[number][:rows]
            return kept.index_copy_(2, places, new)

        memory = [each[:rows] for each in caches.memory]
        return self._step.decode(tokens, places, seen, past_with, memory).float()

    @torch.inference_mode()
    def keep(self, turn: int, index: Tensor, *, rows: int, before: int) -> None:
        """Go on with these of the rows alone, which have `before` tokens."""
        caches, length = self._of(turn), _room_of(before)
        index = index.to(self._device)
        if len(index) > caches.rows:
            caches = self.make_room(len(index), keep=rows, length=length)
        caches.keep(index, length=length)

    def _of(self, turn: int) -> Caches:
        if turn != self._turn or self.caches is None:
            raise RuntimeError("another batch has been looked at since")
        return self.caches

    @torch.inference_mode()
    def make_room(self, rows: int, *, keep: int = 0, length: int = 0) -> Caches:
        """Room for so many rows, with what is in the first `keep` and in their room for tokens."""
        if self.caches is not None and self.caches.rows >= rows:
            return self.caches
        old, self.caches = self.caches, None
        self._graphs.forget()  # they go on with what is old
        if not keep:
            old = None  # before the new, so that both need not have room
        rows = max(fitting_rows(rows), ROWS)
        made = Caches(*self._shape, rows=rows, device=self._device, dtype=self._dtype)
        if old is not None:
            made.take(old, keep, length=length)
        self.caches = made
        return made


class _StaticWriter:
    def __init__(self, network: StaticNetwork, rows: int, turn: int) -> None:
        self._network, self._rows, self._turn = network, rows, turn
        self._before = 0

    def step(self, tokens: Tensor) -> Tensor:
        logits = self._network.step(self._turn, self._rows, self._before, tokens)
        self._before += tokens.shape[1]
        return logits

    def keep(self, rows: Tensor) -> None:
        self._network.keep(self._turn, rows, rows=self._rows, before=self._before)
        self._rows = len(rows)


def _room_of(tokens: int) -> int:
    return fitting(LENGTHS, tokens) if tokens else 0


def fitting_rows(rows: int) -> int:
    """The next power of two: batches are filled up to it, so that there are few graphs."""
    return 1 << (rows - 1).bit_length()
