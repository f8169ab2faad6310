"""Weights of an OpenVINO model in eight bits, each output channel with a scale of its own.

The inputs of its products are rounded to eight bits too, when they come, in groups of `GROUP`
channels (OpenVINO's dynamic quantization). No pictures are needed to choose ranges, so nothing has
to be calibrated, and nobody has to be asked for data.
"""

from typing import Any

import numpy as np

from worker.engines.openvino import ov

GROUP = 128
"""Channels that share a scale of the inputs: the smaller, the nearer to the number itself."""
EIGHT_BITS = {"DYNAMIC_QUANTIZATION_GROUP_SIZE": str(GROUP)}
"""What a model with such weights is compiled with."""


def in_eight_bits(model: Any) -> Any:
    """The model, its products with constant matrices replaced. Embeddings stay as they are."""
    for product in model.get_ordered_ops():
        if product.get_type_name() != "MatMul":
            continue
        given = product.input_value(1)
        weights = given.get_node()
        if weights.get_type_name() == "Constant" and len(weights.shape) == 2:
            by_rows = product.get_attributes()["transpose_b"]
            product.input(1).replace_source_output(_rounded(weights.data, 1 if by_rows else 0))
    return model


def _rounded(weights: np.ndarray, axis: int) -> Any:
    # |w| of a channel is at most 127 of its steps
    step = np.abs(weights).max(axis=axis, keepdims=True).astype(np.float32) / 127
    step = np.where(step == 0, np.float32(1), step)
    ops = ov.opset14
    whole = ops.constant(np.rint(weights / step).astype(np.int8), dtype=np.int8)
    return ops.multiply(ops.convert(whole, "f32"), ops.constant(step)).output(0)
