"""Python in a process of its own, for what would load PyTorch into this one."""

import subprocess
import sys


def run(script: str, *, timeout_s: float) -> "subprocess.CompletedProcess[str]":
    """What became of it, with all that it printed."""
    return subprocess.run(
        [sys.executable, "-P", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
