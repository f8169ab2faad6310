"""Which device and number format the engines of this process use: chosen once, and said why."""

import logging
from dataclasses import dataclass

import torch

from captioner.errors import ModelUnavailable
from captioner.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Placement:
    """Where tensors live and what they are made of, with the reason for each."""

    device: torch.device
    dtype: torch.dtype
    reason: str
    library: str = "torch"
    """What runs the networks that we run ourselves: `torch`, `openvino`, or `reference` for none.
    """

    @property
    def name(self) -> str:
        """As operators see it: `cpu float32`, and the library where it is not PyTorch."""
        named = f"{self.device} {str(self.dtype).removeprefix('torch.')}"
        return named if self.library == "torch" else f"{named} ({self.library})"


def place(settings: Settings) -> Placement:
    """Choose by the settings, and log the choice.

    Raises `ModelUnavailable` when a GPU is asked for that is not there.
    """
    device, why_device = _device(settings.device)
    dtype, why_dtype = _dtype(settings.dtype, device)
    library = "torch" if settings.engine == "auto" else settings.engine
    if library == "openvino" and device.type != "cpu":
        raise ModelUnavailable(f"CAPTIONER_ENGINE=openvino runs on a CPU, not on {device}.")
    placement = Placement(device, dtype, f"{why_device}; {why_dtype}", library)
    log.info(
        "Engines run on %s (%s).", placement.name, placement.reason, extra={"action": "placed"}
    )
    return placement


def _device(asked: str) -> tuple[torch.device, str]:
    if asked == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda:0"), f"device auto found {torch.cuda.get_device_name(0)}"
        return torch.device("cpu"), "device auto found no GPU"
    try:
        device = torch.device(asked)
    except RuntimeError as error:
        raise ModelUnavailable(f"CAPTIONER_DEVICE={asked!r} is no device name.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelUnavailable(f"CAPTIONER_DEVICE={asked!r}, but this process sees no GPU.")
    return device, f"device set to {asked}"


def _dtype(asked: str, device: torch.device) -> tuple[torch.dtype, str]:
    if asked != "auto":
        dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
        return dtype[asked], f"dtype set to {asked}"
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16, "dtype auto takes bfloat16 on this GPU"
    return torch.float32, "dtype auto takes float32, equal to the reference"
