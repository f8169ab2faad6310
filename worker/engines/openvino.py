"""OpenVINO, without the reports that its converter sends to its makers with each use."""

import sys
from importlib import import_module
from typing import Any

# What would send them is not to be found: the converter has a mute one for that case.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
ov: Any = import_module("openvino")
