"""Which device and number format the engines of this process use: chosen once, and said why."""

import logging
from dataclasses import dataclass
from importlib.util import find_spec

import torch

from captioner.errors import ModelUnavailable
from captioner.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Placement:
    """Where tensors live and what they are made of, with the reason for each."""

    device: torch.device
    dtype: torch.dtype
    """`torch.int8` is OpenVINO's alone."""
    reason: str
    library: str = "torch"
    """What runs the networks that we run ourselves: `torch`, `openvino`, or `reference` for none.
    """

    @property
    def exact(self) -> torch.dtype:
        """What PyTorch computes in: as `dtype`, where it can."""
        return torch.float32 if self.dtype == torch.int8 else self.dtype

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
    library = _library(settings.engine, device)
    dtype, why_dtype = _dtype(settings.dtype, device, library)
    if dtype == torch.int8 and library != "openvino":
        raise ModelUnavailable("CAPTIONER_DTYPE=int8 needs OpenVINO: pip install captioner[cpu].")
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
    device = torch.device(asked)
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if (device.index or 0) >= count:
        sees = f"{count} of them, from cuda:0" if count else "no GPU"
        raise ModelUnavailable(f"CAPTIONER_DEVICE={asked!r}, but this process sees {sees}.")
    return device, f"device set to {asked}"


def native() -> torch.dtype:
    """The narrowest floating format that this processor multiplies by itself."""
    has = torch.cpu.get_capabilities()
    return torch.bfloat16 if has.get("avx512_bf16") or has.get("amx_bf16") else torch.float32


def _library(asked: str, device: torch.device) -> str:
    if asked == "auto":
        fast = device.type == "cpu" and find_spec("openvino") is not None
        return "openvino" if fast else "torch"
    if asked == "openvino" and device.type != "cpu":
        raise ModelUnavailable(f"CAPTIONER_ENGINE=openvino runs on a CPU, not on {device}.")
    return asked


def _dtype(asked: str, device: torch.device, library: str) -> tuple[torch.dtype, str]:
    if asked != "auto":
        dtype: torch.dtype = getattr(torch, asked)
        return dtype, f"dtype set to {asked}"
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16, "dtype auto takes bfloat16 on this GPU"
    if library == "openvino" and native() == torch.bfloat16:
        return torch.bfloat16, "dtype auto takes bfloat16, which this processor has"
    return torch.float32, "dtype auto takes float32, equal to the reference"
