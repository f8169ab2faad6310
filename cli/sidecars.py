"""Writes each caption into a text file beside its picture: `photo.jpg` gives `photo.txt`."""

import os
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from cli.finding import looks_like_picture
from cli.outcome import Outcome
from cli.pictures import Failure, Picture


class Sidecars:
    """One text file for each picture, either whole or not there at all.

    A picture beside which another one of the same stem lies has `photo.jpg.txt`. Each folder is
    looked at once, so the names do not change during a run.
    """

    keeps = True

    def __init__(self, *, overwrite: bool) -> None:
        self._overwrite = overwrite
        self._taken: dict[Path, Counter[str]] = {}

    def has(self, picture: Picture) -> bool:
        """Whether a sidecar is there and is to stay."""
        if picture.path is None or not picture.path.name or picture.failure:
            return False
        place = self._place(picture.path)
        return not self._overwrite and os.path.lexists(place)

    def write(self, outcome: Outcome) -> Outcome:
        """Write beside the picture; an error of the file system fails this picture alone."""
        if outcome.caption is None:
            return outcome
        if outcome.picture.path is None:
            detail = "A sidecar needs a path, and this picture came as base64 text."
            return replace(outcome, failure=Failure("sidecar_not_written", detail))
        try:
            write_whole(self._place(outcome.picture.path), outcome.caption + "\n")
        except OSError as error:
            detail = f"The sidecar cannot be written: {error.strerror}."
            return replace(outcome, failure=Failure("sidecar_not_written", detail))
        return outcome

    def close(self) -> None:
        """Nothing is left: every file is complete."""

    def _place(self, path: Path) -> Path:
        if path.parent not in self._taken:
            self._taken[path.parent] = _taken(path.parent)
        own = looks_like_picture(path.name)
        alone = self._taken[path.parent][path.stem] <= own
        place = path.with_suffix(".txt")
        return place if alone and place != path else path.with_name(path.name + ".txt")


def _taken(folder: Path) -> Counter[str]:
    """How many pictures of the folder have each name, as a stem or in whole."""
    taken: Counter[str] = Counter()
    with suppress(OSError):  # a folder in which we may not look
        for name in filter(looks_like_picture, os.listdir(folder)):  # noqa: PTH208 (a million)
            taken.update((name, os.path.splitext(name)[0]))  # noqa: PTH122 (likewise)
    return taken


def write_whole(place: Path, text: str) -> None:
    """Write beside, then rename over: a reader sees the old file or the new one."""
    draft = place.with_name(f".captioner-{os.getpid()}.tmp")
    try:
        draft.write_text(text, encoding="utf-8", errors="backslashreplace")
        draft.replace(place)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
