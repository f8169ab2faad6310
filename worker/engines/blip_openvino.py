"""BLIP's stages under OpenVINO: the fast way to run it on a CPU.

Each stage is converted once from the loaded PyTorch modules and compiled for this processor. What a
picture's cross-attention remembers stays in the number format that the step reads it in.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from worker.engines.blip_network import Memory, Step, Vision
from worker.engines.decoding import Writer
from worker.engines.device import native
from worker.engines.openvino import core, ov
from worker.engines.openvino_int8 import EIGHT_BITS, in_eight_bits

PRECISIONS = {
    torch.float32: ov.Type.f32,
    torch.bfloat16: ov.Type.bf16,
    torch.float16: ov.Type.f16,
}
"""PyTorch's number formats, and OpenVINO's."""


class OpenVinoNetwork:
    """A `Network`: vision and memory as one model, the step as another.

    Its requests are made once and their buffers used again, so that what `look` returns lasts until
    it is called again.
    """

    def __init__(self, model: Any, *, dtype: torch.dtype) -> None:
        self._model, self._dtype = model, dtype
        self._layers = model.text_decoder.config.num_hidden_layers
        self._requests: list[Any] = self._made()

    def _made(self) -> list[Any]:
        """One that looks, and two that take turns at the steps."""
        model, narrow = self._model, self._dtype == torch.int8
        # What is not a product with weights is computed in a wider format.
        wide = native() if narrow else self._dtype
        stages = _encode(model, wide), _step(model, wide)
        config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": PRECISIONS[wide]}
        if narrow:
            stages = in_eight_bits(stages[0]), in_eight_bits(stages[1])
            config |= EIGHT_BITS
        look, step = (core().compile_model(stage, "CPU", config) for stage in stages)
        return [each.create_infer_request() for each in (look, step, step)]

    @contextmanager
    def whole(self) -> Iterator[None]:
        """What a request leaves when memory fails it is not sound: all is compiled anew then."""
        try:
            yield
        except Exception:
            self._requests = []
            raise

    def look(self, pixel_values: Tensor) -> Writer:
        """As `Network` says."""
        self._requests = self._requests or self._made()
        look, *steps = self._requests
        with self.whole():
            look.infer({0: ov.Tensor(pixel_values.numpy())})
            memory = [look.get_output_tensor(n) for n in range(2 * self._layers)]
            return _OpenVinoWriter(self, steps, memory)


class _OpenVinoWriter:
    """Two requests take turns: what one has written, the other reads where it lies."""

    def __init__(
        self, network: OpenVinoNetwork, requests: Sequence[Any], memory: Sequence[Any]
    ) -> None:
        self._network = network
        self._next, self._last = requests
        batch, heads, _, width = memory[0].shape
        self._past = [ov.Tensor(np.zeros((batch, heads, 0, width), np.float32)) for _ in memory]
        self._remember(memory)

    def step(self, tokens: Tensor) -> Tensor:
        request = self._next
        request.set_input_tensor(0, ov.Tensor(tokens.contiguous().numpy()))
        for n, tensor in enumerate(self._past, start=1):
            request.set_input_tensor(n, tensor)
        with self._network.whole():
            request.infer()
        self._past = [request.get_output_tensor(n) for n in range(1, 1 + len(self._memory))]
        self._next, self._last = self._last, request
        return torch.from_numpy(request.get_output_tensor(0).data)

    def keep(self, rows: Tensor) -> None:
        index = rows.numpy()
        self._past = [_rows(each, index) for each in self._past]
        self._remember([_rows(each, index) for each in self._memory])

    def _remember(self, memory: Sequence[Any]) -> None:
        self._memory = memory
        for request in (self._next, self._last):
            for n, tensor in enumerate(memory, start=1 + len(memory)):
                request.set_input_tensor(n, tensor)


def _rows(tensor: Any, index: np.ndarray) -> Any:
    if tensor.element_type != ov.Type.bf16:
        return ov.Tensor(np.ascontiguousarray(tensor.data[index]))
    kept = np.ascontiguousarray(tensor.data.view(np.uint16)[index])
    return ov.Tensor(kept, kept.shape, ov.Type.bf16)


class _Encode(nn.Module):
    def __init__(self, model: Any, kept: torch.dtype) -> None:
        super().__init__()
        self.vision, self.memory = Vision(model.vision_model), Memory(model.text_decoder)
        self.kept = kept

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, ...]:
        memory = self.memory(self.vision(pixel_values))
        keys, values = memory[::2], [each.transpose(2, 3) for each in memory[1::2]]
        pairs = zip(keys, values, strict=True)
        return tuple(each.to(self.kept) for pair in pairs for each in pair)


def _recall(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention turned round: memory is the left side of both products, as it lies.

    On the right it would be packed anew for each token, which takes longer than all the rest.
    `values` are (B, heads, d, N).
    """
    shares = (keys @ queries.transpose(2, 3)).softmax(2)  # (B, heads, N, T)
    return (values @ shares).permute(0, 3, 1, 2).flatten(2)


class _Step(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.step = Step(model.text_decoder, _recall)
        self.count = 2 * model.text_decoder.config.num_hidden_layers

    def forward(self, tokens: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        past, memory = tensors[: self.count], tensors[self.count :]
        logits, grown = self.step(tokens, past, [each.float() for each in memory])
        return (logits, *grown)


def _encode(model: Any, kept: torch.dtype) -> Any:
    size = model.config.vision_config.image_size
    example = torch.zeros(2, 3, size, size)
    return _converted(_Encode(model, kept), example, shapes=[(-1, 3, size, size)])


def _step(model: Any, kept: torch.dtype) -> Any:
    config = model.text_decoder.config
    heads = config.num_attention_heads
    width = config.hidden_size // heads
    patches = (model.config.vision_config.image_size // model.config.vision_config.patch_size) ** 2
    count = 2 * config.num_hidden_layers
    past = [torch.zeros(2, heads, 3, width) for _ in range(count)]
    remembered = (heads, patches + 1, width), (heads, width, patches + 1)
    memory = [torch.zeros(2, *remembered[n % 2], dtype=kept) for n in range(count)]
    shapes = [
        (-1, -1),
        *((-1, heads, -1, width) for _ in range(count)),
        *((-1, *remembered[n % 2]) for n in range(count)),
    ]
    example = torch.zeros(2, 2, dtype=torch.long), *past, *memory
    return _converted(_Step(model), example, shapes=shapes)


def _converted(stage: nn.Module, example: Any, *, shapes: list[tuple[int, ...]]) -> Any:
    # Traced here, as the converter would run the stage twice more to compare.
    with torch.inference_mode():
        traced = torch.jit.trace(stage.eval(), example, check_trace=False)  # type: ignore[no-untyped-call]
    return ov.convert_model(traced, example_input=example, input=shapes)
