"""Writes each caption into a text file beside its picture: `photo.jpg` gives `photo.txt`."""

import os
from dataclasses import replace
from pathlib import Path

from cli.outcome import Outcome
from cli.pictures import Failure, Picture


class Sidecars:
    """One text file for each picture, either whole or not there at all.

    Where two pictures differ only in their suffix, the second one's is `photo.png.txt`.
    """

    keeps = True

    def __init__(self, *, overwrite: bool) -> None:
        self._overwrite = overwrite
        self._owners: dict[Path, Path] = {}

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
        place = path.with_suffix(".txt")
        if place == path or self._owners.setdefault(place, path) != path:
            return path.with_name(path.name + ".txt")
        return place


def write_whole(place: Path, text: str) -> None:
    """Write beside, then rename over: a reader sees the old file or the new one."""
    draft = place.with_name(f".captioner-{os.getpid()}.tmp")
    try:
        draft.write_text(text, encoding="utf-8", errors="backslashreplace")
        draft.replace(place)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
