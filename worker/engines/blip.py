"""BLIP, quickly: a picture is looked at once, and each token costs one reading of the weights.

The same captions as `blip_reference`, token by token in float32; beams are left to it. Which
library multiplies the matrices is the business of the `Network`.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from captioner.errors import ModelUnavailable
from captioner.images import Resampling
from captioner.options import PLAIN, Options
from worker.engines import blip_reference
from worker.engines.blip_cuda import StaticNetwork
from worker.engines.blip_network import Memory, Step, Vision
from worker.engines.decoding import Bounds, Row, Writer, write
from worker.engines.device import Placement
from worker.engines.generation import Dice, rows_per_picture, seeds, span
from worker.engines.loading import from_source
from worker.engines.protocol import Caption, Engine, Pixels, Stopped, ranked
from worker.engines.stages import stage
from worker.engines.trouble import translated
from worker.engines.weights import Weights


class Network(Protocol):
    """BLIP's weights, ready to run."""

    def look(self, pixel_values: Tensor) -> Writer:
        """See (B, 3, H, W) float32 pictures; write of each."""


class TorchNetwork:
    """On PyTorch, on any device."""

    def __init__(self, model: Any, *, device: torch.device, dtype: torch.dtype) -> None:
        self._vision = Vision(model.vision_model)
        self._memory = Memory(model.text_decoder)
        self._step = Step(model.text_decoder)
        self._device, self._dtype = device, dtype

    def look(self, pixel_values: Tensor) -> Writer:
        """As `Network` says."""
        patches = self._vision(pixel_values.to(self._device, self._dtype))
        return _TorchWriter(self._step, self._memory(patches))


class _TorchWriter:
    def __init__(self, step: Step, memory: list[Tensor]) -> None:
        self._step = step
        self._memory = [each.contiguous() for each in memory]
        self._past = [each[:, :, :0] for each in memory]

    def step(self, tokens: Tensor) -> Tensor:
        logits: Tensor
        logits, self._past = self._step(tokens.to(self._memory[0].device), self._past, self._memory)
        return logits.float()

    def keep(self, rows: Tensor) -> None:
        self._memory = [each[rows] for each in self._memory]
        self._past = [each[rows] for each in self._past]


class FastBlipEngine:
    """An `Engine` around a network, with the slow one for what it does not do: beams."""

    def __init__(self, slow: blip_reference.BlipEngine, network: Network | StaticNetwork) -> None:
        self._slow = slow
        self._network = network
        self._levels = levels(slow.processor)

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) that the vision tower takes."""
        return self._slow.image_size

    @property
    def resampling(self) -> Resampling:
        """The filter with which pictures are brought to that size."""
        return self._slow.resampling

    @property
    def revision(self) -> str:
        """The commit of the hub repository, or a hash of the local weights."""
        return self._slow.revision

    @translated()
    def prepare(self, batch: int) -> None:
        """As `Prepares` says: room and graphs, where it runs by graphs."""
        if isinstance(self._network, StaticNetwork):
            self._network.warm_up(batch)

    @translated()
    @torch.inference_mode()
    def caption(
        self,
        pictures: Sequence[Pixels],
        options: Options = PLAIN,
        *,
        stopped: Stopped | None = None,
    ) -> list[Caption | None]:
        """As `BlipEngine.caption`."""
        if (options.num_beams or 1) > 1:
            return self._slow.caption(pictures, options, stopped=stopped)
        each = rows_per_picture(options)
        prompt = self._slow.prompt_ids(options.prompt)
        bounds = self._bounds(options, given=prompt.shape[1])
        with stage("encode"):
            writer = self._look(pictures)
        if each > 1:
            writer.keep(torch.arange(len(pictures)).repeat_interleave(each))
        rows = write(
            writer,
            prompt.repeat(each * len(pictures), 1),
            bounds,
            choose=Dice(options.temperature, seeds(options, rows=each * len(pictures))),
            stopped=_of_rows(stopped, each) if stopped else None,
        )
        return [self._joined(rows[n : n + each]) for n in range(0, len(rows), each)]

    def _bounds(self, options: Options, *, given: int) -> Bounds:
        shortest, longest = span(
            options, given=given, places=self._slow.places, usual=self._slow.max_new_tokens
        )
        return Bounds(self._slow.end, longest, shortest, options.no_repeat_ngram or 0)

    def _look(self, pictures: Sequence[Pixels]) -> Writer:
        if isinstance(self._network, StaticNetwork):
            return self._network.look_at(pictures)  # a quarter of the bytes to bring to a GPU
        return self._network.look(self._pixel_values(pictures))

    def _pixel_values(self, pictures: Sequence[Pixels]) -> Tensor:
        # (B, H, W, 3) uint8 -> (B, 3, H, W) float32: as the processor does it, by looking it up
        stacked = np.stack(list(pictures)).transpose(0, 3, 1, 2)
        values = [np.take(self._levels[:, c], stacked[:, c]) for c in range(3)]
        return torch.from_numpy(np.stack(values, axis=1))

    def _joined(self, rows: Sequence[Row]) -> Caption | None:
        if any(row.stopped for row in rows):
            return None
        return ranked([self._slow.read(row.tokens, score=row.score) for row in rows])


def levels(processor: Any) -> np.ndarray:
    """(256, 3): what the image processor makes of each level of each channel."""
    ramp = np.arange(256, dtype=np.uint8).reshape(256, 1, 1).repeat(3, axis=2)
    values = processor(
        [ramp], do_resize=False, input_data_format="channels_last", return_tensors="np"
    ).pixel_values
    levels: np.ndarray = np.ascontiguousarray(values[0, :, :, 0].T, dtype=np.float32)
    return levels


def _of_rows(stopped: Stopped, each: int) -> Stopped:
    return lambda: [stop for stop in stopped() for _ in range(each)]


def load(source: str, *, revision: str, placement: Placement, max_new_tokens: int) -> Engine:
    """Load BLIP from a hub id or a folder, with the library that was chosen for this process.

    Raises what `loading.from_source` does.
    """
    make = partial(build, placement=placement, max_new_tokens=max_new_tokens)
    return from_source(source, revision=revision, build=make)


def build(weights: Weights, *, placement: Placement, max_new_tokens: int) -> Engine:
    """The engine of the weights in a folder."""
    if placement.library == "reference":
        return blip_reference.build(weights, placement=placement, max_new_tokens=max_new_tokens)
    if placement.library == "torch":
        slow = blip_reference.build(weights, placement=placement, max_new_tokens=max_new_tokens)
        return FastBlipEngine(slow, _on_torch(slow, placement))
    # It is converted from float32, whatever it computes in.
    exact = replace(placement, dtype=torch.float32)
    slow = blip_reference.build(weights, placement=exact, max_new_tokens=max_new_tokens)
    return FastBlipEngine(slow, _on_openvino(slow.model, placement.dtype))


def _on_torch(
    slow: blip_reference.BlipEngine, placement: Placement
) -> TorchNetwork | StaticNetwork:
    device, dtype = placement.device, placement.dtype
    if device.type != "cuda":
        return TorchNetwork(slow.model, device=device, dtype=dtype)
    known = torch.from_numpy(levels(slow.processor))
    return StaticNetwork(slow.model, levels=known, device=device, dtype=dtype)


def _on_openvino(model: Any, dtype: torch.dtype) -> Network:
    try:
        from worker.engines.blip_openvino import OpenVinoNetwork
    except ImportError as error:
        raise ModelUnavailable(
            "CAPTIONER_ENGINE=openvino, but OpenVINO is not installed: pip install captioner[cpu]."
        ) from error
    return OpenVinoNetwork(model, dtype=dtype)
