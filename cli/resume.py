"""Reads an earlier run's output file: which pictures have their caption already."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from captioner.errors import InvalidRequest
from cli.escape import cell
from cli.outcome import CSV_HEADER, id_text
from cli.pictures import Picture


def json_key(picture: Picture) -> str:
    """What names this picture in a file of JSON lines."""
    return _key(str(picture.path) if picture.path else "", id_text(picture.labels.get("id")))


def csv_key(picture: Picture) -> str:
    """What names this picture in a CSV file: the cells as they are written there."""
    path = str(picture.path) if picture.path else ""
    return _key(cell(path), cell(id_text(picture.labels.get("id"))))


def json_done(file: Path) -> frozenset[str]:
    """Keys of the pictures that `file` has a caption for; InvalidRequest if it is not ours."""
    return frozenset(
        _key(str(record.get("path") or ""), id_text(record.get("id")))
        for record in _records(file)
        if isinstance(record.get("caption"), str)
    )


def csv_done(file: Path) -> frozenset[str]:
    """As `json_done`, for CSV."""
    rows = csv.reader(_lines(file))
    if tuple(next(rows, CSV_HEADER)) != CSV_HEADER:
        raise _not_ours(file, "CSV")
    return frozenset(
        _key(row[0], row[-1])
        for row in rows
        if len(row) == len(CSV_HEADER) and not row[CSV_HEADER.index("error_code")]
    )


def mend_end(file: Path) -> None:
    """Cut off the half line that a crash or a full disk left at the end."""
    if not file.exists():
        return
    with file.open("rb+") as stream:
        size = stream.seek(0, 2)
        end = size
        while end and not _ends_line(stream, end):
            end -= 1
        if end != size:
            stream.truncate(end)


def _ends_line(stream: Any, end: int) -> bool:
    stream.seek(end - 1)
    return bool(stream.read(1) == b"\n")


def _key(path: str, label: str) -> str:
    return json.dumps([path, label])


def _lines(file: Path) -> Iterator[str]:
    """Whole lines, and the first in any case: it tells whose file this is."""
    if not file.exists():
        return
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        for number, line in enumerate(stream):
            if number == 0 or line.endswith("\n"):
                yield line


def _records(file: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_lines(file)):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        ours = isinstance(record, dict) and "caption" in record
        if number == 0 and not ours:
            raise _not_ours(file, "JSON lines")
        if ours and line.endswith("\n"):
            yield record


def _not_ours(file: Path, kind: str) -> InvalidRequest:
    return InvalidRequest(
        f"{file} is no {kind} file that this command wrote, so it cannot be continued. "
        "Name another file, or replace it with --overwrite."
    )
