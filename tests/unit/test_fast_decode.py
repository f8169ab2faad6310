"""JPEGs that are decoded smaller than they are, where an operator allows it."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from captioner.images import decode, fit
from scripts.scenes import draw
from tests.pictures import encoded, scenes
from tests.unit.decoding import LIMITS
from worker.decode_child import decode_and_fit

FAST = replace(LIMITS, fast_decode=True)
SEEN = (96, 96)


def photograph(width: int, height: int) -> Image.Image:
    return draw(scenes(1, seed=3)[0], width=width, height=height)


def test_without_leave_every_pixel_is_decoded() -> None:
    data = encoded(photograph(1600, 1200), "JPEG", quality=90)
    whole = fit(decode(data, LIMITS), SEEN)
    assert decode(data, LIMITS, wanted=SEEN).size == (1600, 1200)
    assert np.array_equal(decode_and_fit(data, SEEN, LIMITS), whole)


@pytest.mark.parametrize(
    ("width", "height", "left"),
    [(1600, 1200, (400, 300)), (4000, 3000, (500, 375)), (300, 190, (300, 190))],
)
def test_a_large_jpeg_is_scaled_in_its_transform_but_stays_twice_as_large(
    width, height, left
) -> None:
    data = encoded(photograph(width, height), "JPEG", quality=90)
    assert decode(data, FAST, wanted=SEEN).size == left
    slow, fast = (decode_and_fit(data, SEEN, each).astype(int) for each in (LIMITS, FAST))
    assert np.abs(slow - fast).mean() < 2


def test_a_turned_jpeg_is_still_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(photograph(1600, 800), "JPEG", quality=90, exif=exif)
    assert decode(data, FAST, wanted=SEEN).size == (200, 400)


def test_other_formats_are_decoded_as_ever() -> None:
    data = encoded(photograph(1600, 1200), "PNG")
    assert np.array_equal(decode_and_fit(data, SEEN, FAST), decode_and_fit(data, SEEN, LIMITS))
