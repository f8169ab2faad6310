"""BLIP's stages under OpenVINO: the fast way to run it on a CPU.

Each stage is converted once from the loaded PyTorch modules and compiled for this processor. What a
picture's cross-attention remembers stays in the number format that the step reads it in.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from worker.engines.blip_network import Memory, Step, Vision
from worker.engines.decoding import Writer
from worker.engines.openvino import ov

PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
"""Our names of number formats, and OpenVINO's."""


class OpenVinoNetwork:
    """A `Network`: vision and memory as one model, the step as another."""

    def __init__(self, model: Any, *, dtype: str) -> None:
        core = ov.Core()
        config = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": PRECISIONS[dtype],
        }
        kept = torch.float32 if dtype == "float32" else torch.bfloat16
        self._look = core.compile_model(_encode(model, kept), "CPU", config)
        self._step = core.compile_model(_step(model, kept), "CPU", config)
        self._layers = model.text_decoder.config.num_hidden_layers

    def look(self, pixel_values: Tensor) -> Writer:
        """As `Network` says."""
        request = self._look.create_infer_request()
        request.infer({0: ov.Tensor(pixel_values.numpy())})
        memory = [request.get_output_tensor(n) for n in range(2 * self._layers)]
        return _OpenVinoWriter(self._step.create_infer_request(), memory)


class _OpenVinoWriter:
    def __init__(self, request: Any, memory: Sequence[Any]) -> None:
        self._request = request
        self._memory = memory
        batch, heads, _, width = memory[0].shape
        self._past = [
            ov.Tensor(np.zeros((batch, heads, 0, width), np.float32)) for _ in self._memory
        ]

    def step(self, tokens: Tensor) -> Tensor:
        count = len(self._memory)
        self._request.set_input_tensor(0, ov.Tensor(tokens.contiguous().numpy()))
        for n, tensor in enumerate((*self._past, *self._memory), start=1):
            self._request.set_input_tensor(n, tensor)
        self._request.infer()
        outputs = [self._request.get_output_tensor(n) for n in range(1 + count)]
        # The request writes into the same tensors next time.
        self._past = [_copy(output) for output in outputs[1:]]
        return torch.from_numpy(outputs[0].data.copy())

    def keep(self, rows: Tensor) -> None:
        index = rows.numpy()
        self._memory = [_rows(each, index) for each in self._memory]
        self._past = [_rows(each, index) for each in self._past]


def _copy(tensor: Any) -> Any:
    return ov.Tensor(np.array(tensor.data))


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
        return tuple(each.to(self.kept) for each in self.memory(self.vision(pixel_values)))


class _Step(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.step = Step(model.text_decoder)
        self.count = 2 * model.text_decoder.config.num_hidden_layers

    def forward(self, tokens: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        past, memory = tensors[: self.count], tensors[self.count :]
        logits, grown = self.step(tokens, past, [each.float() for each in memory])
        return (logits, *grown)


def _encode(model: Any, kept: torch.dtype) -> Any:
    size = model.config.vision_config.image_size
    example = torch.zeros(2, 3, size, size)
    return ov.convert_model(
        _Encode(model, kept).eval(), example_input=example, input=[(-1, 3, size, size)]
    )


def _step(model: Any, kept: torch.dtype) -> Any:
    config = model.text_decoder.config
    heads = config.num_attention_heads
    width = config.hidden_size // heads
    patches = (model.config.vision_config.image_size // model.config.vision_config.patch_size) ** 2
    count = 2 * config.num_hidden_layers
    past = [torch.zeros(2, heads, 3, width) for _ in range(count)]
    memory = [torch.zeros(2, heads, patches + 1, width, dtype=kept) for _ in range(count)]
    shapes = [
        (-1, -1),
        *((-1, heads, -1, width) for _ in range(count)),
        *((-1, heads, patches + 1, width) for _ in range(count)),
    ]
    return ov.convert_model(
        _Step(model).eval(),
        example_input=(torch.zeros(2, 2, dtype=torch.long), *past, *memory),
        input=shapes,
    )
