"""Finds the pictures that a command line names: files, folders, patterns, or a list on stdin."""

import glob
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cli.pictures import Failure, Picture

STDIN = "-"
PICTURE_SUFFIXES = frozenset(
    f".{kind}"
    for kind in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif"),
        *("bmp", "tif", "tiff", "avif", "heic", "heif"),
    )
)


def find(arguments: Iterable[str], stdin: Iterable[str]) -> Iterator[Picture]:
    """Every picture once, in the order of the arguments, folders sorted by name.

    A path or line that leads nowhere is a picture with its failure set. `stdin` is read, line by
    line, only where an argument is `-`.
    """
    seen: set[str] = set()
    for argument in arguments:
        for picture in listed(stdin) if argument == STDIN else _named(argument):
            place = str(picture.path and picture.path.absolute())
            if picture.labels or place not in seen:
                seen.add(place)
                yield picture


def listed(lines: Iterable[str]) -> Iterator[Picture]:
    """Pictures from JSON lines; a line that cannot be used is a failure of its own."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _from_line(line, number)


def _named(argument: str) -> Iterator[Picture]:
    path = Path(os.path.expanduser(argument))  # noqa: PTH111 (an unknown ~name stays as it is)
    if os.path.isdir(path):  # noqa: PTH112 (False, never an error, where we may not look)
        yield from _walk(path)
    elif os.path.exists(path) or not glob.has_magic(argument):  # noqa: PTH110 (likewise)
        if not _is_sidecar(path):
            yield _at(path)
    else:
        yield from _matching(str(path))


def _at(path: Path) -> Picture:
    return Picture(name=str(path), path=path)


def _walk(folder: Path) -> Iterator[Picture]:
    locked: list[OSError] = []
    for parent, folders, files in os.walk(folder, onerror=locked.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and looks_like_picture(name):
                yield _at(Path(parent, name))
    for error in locked:
        failure = Failure("folder_unreadable", f"The folder cannot be read: {error.strerror}.")
        yield Picture(name=str(error.filename), path=Path(error.filename), failure=failure)


def _matching(pattern: str) -> Iterator[Picture]:
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 (absolute patterns)
    if not matches:
        failure = Failure("file_not_found", "No file or folder matches this pattern.")
        yield Picture(name=pattern, path=Path(pattern), failure=failure)
    for match in map(Path, matches):
        if match.is_dir():
            yield from _walk(match)
        elif looks_like_picture(match.name):
            yield _at(match)


def looks_like_picture(name: str) -> bool:
    """Whether a file of that name is taken for a picture, by its suffix."""
    return os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES  # noqa: PTH122 (a million names)


def _is_sidecar(path: Path) -> bool:
    """Whether `photos/*`, expanded by the shell, has brought a caption that we wrote."""
    if path.suffix != ".txt":
        return False
    if path.with_suffix("").suffix.lower() in PICTURE_SUFFIXES and path.with_suffix("").exists():
        return True
    return any(path.with_suffix(suffix).exists() for suffix in PICTURE_SUFFIXES)


def _from_line(line: str, number: int) -> Picture:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return _bad_line(number, "invalid_json", f"The line is not JSON: {error}")
    if isinstance(value, str) and value:
        return _at(Path(value))
    if not isinstance(value, dict):
        return _bad_line(number, "invalid_line", "The line is neither a path nor an object.")
    return _from_object(value, number)


def _from_object(value: dict[str, Any], number: int) -> Picture:
    path, imgb64 = value.get("path"), value.get("imgb64")
    labels = {"id": value["id"]} if "id" in value else {}
    if isinstance(path, str) and path and imgb64 is None:
        return Picture(name=path, path=Path(path), labels=labels)
    if isinstance(imgb64, str) and imgb64 and path is None:
        name = f"id {json.dumps(value['id'])}" if labels else f"stdin line {number}"
        return Picture(name=name, imgb64=imgb64, labels=labels or {"line": number})
    detail = 'The object needs either "path" or "imgb64", as text.'
    return _bad_line(number, "invalid_line", detail, labels)


def _bad_line(number: int, code: str, detail: str, labels: dict[str, Any] | None = None) -> Picture:
    return Picture(
        name=f"stdin line {number}",
        labels={**(labels or {}), "line": number},
        failure=Failure(code, detail),
    )
