"""Several pictures that are decoded for one caption: one future for all."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from captioner.errors import ImageError
from worker.decode_lane import DecodedImage


def gathered(
    parts: Sequence["Future[DecodedImage]"], *, alike: bool = True
) -> "Future[DecodedImage]":
    """Done once all are, with their pixels as (pictures, height, width, 3) and the sum of times.

    Where they are not `alike` in size, with their pixels as an array of arrays.
    It fails as soon as one of them does, and says which. When it is canceled, so are those that
    nobody has begun.
    """
    whole: Future[DecodedImage] = Future()
    # Held again by its holder: one that fails has the others canceled, which are then done, too.
    lock, left = threading.RLock(), len(parts)

    def one_is_done(part: "Future[DecodedImage]") -> None:
        nonlocal left
        with lock, suppress(InvalidStateError):  # canceled just now
            left -= 1
            error = None if part.cancelled() else part.exception()
            if part.cancelled():
                whole.cancel()
            elif error is not None:
                whole.set_exception(_numbered(error, parts.index(part) + 1))
            elif left == 0 and not whole.done():
                _resolve(whole, [each.result() for each in parts], np.stack if alike else _row)

    def whole_is_done(_: "Future[DecodedImage]") -> None:
        for part in parts:
            part.cancel()

    for part in parts:
        part.add_done_callback(one_is_done)
    whole.add_done_callback(whole_is_done)
    return whole


def _resolve(
    whole: "Future[DecodedImage]",
    pictures: Sequence[DecodedImage],
    join: Callable[[list[NDArray[np.uint8]]], NDArray[Any]],
) -> None:
    try:
        pixels = join([picture.pixels for picture in pictures])
    except (ValueError, MemoryError) as error:  # of an engine that takes any size; or too many
        whole.set_exception(error)
        return
    whole.set_result(DecodedImage(pixels, sum(picture.decode_ms for picture in pictures)))


def _row(pictures: list[NDArray[np.uint8]]) -> NDArray[Any]:
    row = np.empty(len(pictures), dtype=object)
    for place, picture in enumerate(pictures):
        row[place] = picture
    return row


def _numbered(error: BaseException, number: int) -> BaseException:
    if isinstance(error, ImageError):
        return type(error)(f"Picture {number}: {error.detail}")
    return error
