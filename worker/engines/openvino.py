"""OpenVINO, without the reports that its converter sends to its makers with each use."""

import sys
from functools import cache
from importlib import import_module
from typing import Any

# What would send them is not to be found: the converter has a mute one for that case.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
ov: Any = import_module("openvino")


@cache
def core() -> Any:
    """The one of this process, for every model: a processor's plugin is loaded once, and stays."""
    return ov.Core()
