"""What a command draws on a terminal."""

import os
import pty
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def environment(columns: int = 90) -> dict[str, str]:
    """Of a command at a terminal of that width."""
    return os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": str(columns), "TERM": "xterm"}


def screen(arguments: list[str], *, stdout: int | None = None, columns: int = 90) -> str:
    """Everything that the command draws on a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        arguments,
        stdout=stdout or theirs,
        stderr=theirs,
        stdin=theirs,
        env=environment(columns),
    )
    os.close(theirs)
    drawn = b""
    try:
        while chunk := os.read(ours, 65536):
            drawn += chunk
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    process.wait(timeout=20)
    return drawn.decode()
