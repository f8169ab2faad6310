"""Several pictures that are decoded for one caption: one future for all."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

import numpy as np

from captioner.errors import ImageError
from worker.decode_lane import DecodedImage


def gathered(parts: Sequence["Future[DecodedImage]"]) -> "Future[DecodedImage]":
    """Done once all are, with their pixels as (pictures, height, width, 3) and the sum of times.

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
            elif left == 0:
                _resolve(whole, [each.result() for each in parts])

    def whole_is_done(_: "Future[DecodedImage]") -> None:
        for part in parts:
            part.cancel()

    for part in parts:
        part.add_done_callback(one_is_done)
    whole.add_done_callback(whole_is_done)
    return whole


def _resolve(whole: "Future[DecodedImage]", pictures: Sequence[DecodedImage]) -> None:
    try:
        pixels = np.stack([picture.pixels for picture in pictures])
    except (ValueError, MemoryError) as error:  # of an engine that takes any size; or too many
        whole.set_exception(error)
        return
    whole.set_result(DecodedImage(pixels, sum(picture.decode_ms for picture in pictures)))


def _numbered(error: BaseException, number: int) -> BaseException:
    if isinstance(error, ImageError):
        return type(error)(f"Picture {number}: {error.detail}")
    return error
