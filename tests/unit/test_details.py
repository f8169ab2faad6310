"""What a stranger's file says of itself is bounded, and read without decoding a pixel."""

import random
import time

import pytest
from PIL import Image
from pydantic import ValidationError

from captioner import details
from captioner.errors import ImageError
from captioner.images import ImageLimits
from captioner.settings import Settings
from tests.pictures import encoded, plain

LIMITS = ImageLimits(("JPEG", "PNG"), 10**7, 10**7, 10_000, 1)


def signed(kind: str = "JPEG", **said: object) -> bytes:
    """A picture whose EXIF says this, by the names of the tags here."""
    exif = Image.Exif()
    tags = {"make": 0x010F, "model": 0x0110, "orientation": 0x0112}
    for name, tag in tags.items():
        if name in said:
            exif[tag] = said[name]
    part = exif.get_ifd(0x8769)
    for name, tag in {"taken": 0x9003, "offset": 0x9011}.items():
        if name in said:
            part[tag] = said[name]
    if "gps" in said:
        exif.get_ifd(0x8825).update(said["gps"])  # type: ignore[call-overload]
    return encoded(Image.new("RGB", (40, 30), "teal"), kind, exif=exif)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_header_and_the_safe_part_of_exif_are_told(kind: str) -> None:
    data = signed(
        kind, make="Acme", model="3000", orientation=8, taken="2024:05:06 07:08:09",
        offset="+02:00",
    )  # fmt: skip

    assert details.read(data, LIMITS) == details.Details(
        kind, "RGB", len(data), 40, 30, "Acme 3000", "2024-05-06T07:08:09+02:00", 8
    )


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"make": "Acme", "model": "ACME 3000"}, ("ACME 3000", None, None)),
        ({"model": "x" * 500}, ("x" * 60, None, None)),
        ({"make": "a\x00b\x1b[31m\n"}, ("ab[31m", None, None)),
        ({"orientation": 9}, (None, None, None)),
        ({"orientation": 0}, (None, None, None)),
        ({"taken": "2024:13:45 99:00:00"}, (None, None, None)),
        ({"taken": "yesterday"}, (None, None, None)),
        ({"taken": "2024:05:06 07:08:09", "offset": "+99:99"}, (None, None, None)),
        ({"taken": "2024:05:06 07:08:09", "offset": "CET"}, (None, "2024-05-06T07:08:09", None)),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_not_told(said: dict, told: tuple) -> None:
    found = details.read(signed(**said), LIMITS)

    assert (found.camera, found.taken_at, found.orientation) == told


@pytest.mark.parametrize(
    "gps",
    [
        {},
        {1: "N", 2: (48.0, 51.0, 30.0)},
        {1: "N", 2: (148.0, 51.0, 30.0), 3: "E", 4: (2.0, 17.0, 42.0)},
        {1: "X", 2: (48.0, 51.0, 30.0), 3: "E", 4: (2.0, 17.0, 42.0)},
        {1: "N", 2: (48.0, 51.0), 3: "E", 4: (2.0, 17.0, 42.0)},
    ],
    ids=str,
)
def test_a_place_that_is_none_is_not_told(gps: dict) -> None:
    assert details.position(signed(gps=gps), LIMITS) is None


def test_no_damage_of_exif_is_more_than_its_absence() -> None:
    whole = signed(make="Acme", taken="2024:05:06 07:08:09", gps={1: "N", 2: (1.0, 2.0, 3.0)})
    begin, rng = whole.index(b"Exif\0\0") + 6, random.Random(3)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 8)):
            data[begin + rng.randrange(120)] = rng.randrange(256)
        found = details.read(bytes(data), LIMITS)
        assert (found.width, found.height) == (40, 30)
        details.position(bytes(data), LIMITS)


def test_hostile_exif_costs_little() -> None:
    entries = 5_000  # each says that all of the block is its value
    entry = (0x9999).to_bytes(2, "big") + b"\0\x07" + (60_000).to_bytes(4, "big") + bytes(4)
    block = b"Exif\0\0MM\0*\0\0\0\x08" + entries.to_bytes(2, "big") + entry * entries + bytes(4)
    large = encoded(Image.new("RGB", (40, 30)), "PNG", exif=b"Exif\0\0MM\0*" + bytes(2**20))
    jpeg = encoded(Image.new("RGB", (40, 30)), "JPEG", exif=block)

    begun = time.process_time()
    assert details.read(jpeg, LIMITS).camera is None
    assert details.position(jpeg, LIMITS) is None
    assert details.read(large, LIMITS).camera is None
    assert time.process_time() - begun < 2


def test_no_pixel_is_decoded() -> None:
    png = bytearray(plain(width=400, height=400))
    begin = png.index(b"IDAT") + 8
    png[begin : begin + 30] = bytes(30)

    assert details.read(bytes(png), LIMITS).width == 400
    with pytest.raises(ImageError):
        details.read(b"GIF89a", LIMITS)


def test_a_small_thumbnail_may_not_be_the_larger_one() -> None:
    with pytest.raises(
        ValidationError, match="THUMBNAIL_SMALL=256 must not be above CAPTIONER_THUMB"
    ):
        Settings(thumbnail_small=256)
