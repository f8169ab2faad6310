"""Gathers pictures into requests that are bounded in number and in bytes."""

from collections.abc import Iterable, Iterator

from cli.pictures import MAX_REQUEST_BYTES, Picture


def batches(
    pictures: Iterable[Picture], *, size: int, max_bytes: int = MAX_REQUEST_BYTES
) -> Iterator[list[Picture]]:
    """Lists of at most `size` pictures and `max_bytes`; a larger picture comes alone."""
    batch: list[Picture] = []
    total = 0
    for picture in pictures:
        picture_bytes = picture.size
        if batch and (len(batch) >= size or total + picture_bytes > max_bytes):
            yield batch
            batch, total = [], 0
        batch.append(picture)
        total += picture_bytes
        if len(batch) >= size:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch
