"""What stands above every figure: the machine, the commit, the settings, the command."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def processor() -> str:
    """The processor's name, as the kernel tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def commit() -> str:
    """The commit that is measured, marked when the tree differs from it in more than results."""
    name = _git("describe", "--always", "--abbrev=12")
    changed = _git("status", "--porcelain", "--", ".", ":(exclude)benchmarks/results")
    return f"{name or 'unknown'}{'-dirty' if changed else ''}"


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def heading(title: str, settings: dict[str, object], *, more: Sequence[str] = ("celery",)) -> str:
    """The lines that stand above the figures. `more` libraries are named where they are there."""
    libraries = " ".join(filter(None, map(_installed, ("torch", "transformers", *more))))
    command = f"python -m benchmarks {' '.join(sys.argv[1:])}".strip()
    return "\n".join(
        [
            f"# {title}",
            f"date      {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            f"machine   {processor()}, {os.cpu_count()} cores, Python {platform.python_version()}",
            f"speed     {ADDITIONS:,} additions in Python took {additions_s():.2f} s just now",
            f"libraries {libraries}",
            f"commit    {commit()}",
            f"settings  {' '.join(f'{name}={value}' for name, value in settings.items())}",
            f"command   {command}",
            "",
        ]
    )


ADDITIONS = 10_000_000


def additions_s() -> float:
    """How fast this machine is at this moment, in seconds for `ADDITIONS` in Python: others that
    share it slow it down.
    """
    started, total = time.perf_counter(), 0
    for number in range(ADDITIONS):
        total += number
    return time.perf_counter() - started


def _installed(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return ""


def keep(name: str, text: str) -> None:
    """Print a result and keep it in `benchmarks/results`; a short run is only printed."""
    print(text)
    if "--short" in sys.argv:
        return
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.txt").write_text(text + "\n")
