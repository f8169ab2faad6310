"""A Python in which few packages are installed: those named, and what they need."""

import os
import re
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement


def python_with(names: Iterable[str], folder: Path) -> tuple[list[str], dict[str, str]]:
    """A command and its environment. `folder` becomes the site, of links to ours."""
    for name in needed(names):
        installed = distribution(name)
        tops = {Path(str(file)).parts[0] for file in installed.files or ()} - {"..", "__pycache__"}
        for top in tops:
            link = folder / top
            if not link.exists():
                link.symlink_to(os.fspath(installed.locate_file(top)))
    # -S: without the site of this interpreter.
    return [sys.executable, "-S", "-P"], {"PYTHONPATH": str(folder)}


def needed(names: Iterable[str]) -> set[str]:
    """Installed distributions that come with these, themselves among them, without extras."""
    found: set[str] = set()
    waiting = [_normal(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            stated = [Requirement(text) for text in distribution(name).requires or ()]
        except PackageNotFoundError:  # of another system
            continue
        found.add(name)
        waiting += [
            _normal(each.name)
            for each in stated
            if not each.marker or each.marker.evaluate({"extra": ""})
        ]
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
