"""A picture that is too large, cut short, damaged or hostile is refused in plain words."""

import random
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from captioner import errors, images
from tests.pictures import encoded
from tests.unit.sample_images import LIMITS, limits, pixels, png, scene

EVERY_FORMAT = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


# Sizes


def test_a_file_beyond_the_limit_is_not_even_opened():
    with pytest.raises(errors.ImageTooManyBytes, match="11 bytes; 10 are allowed"):
        images.inspect(bytes(11), limits(max_bytes=10))


@pytest.mark.parametrize(
    ("size", "changes", "error"),
    [
        ((40, 8), {"max_pixels": 319}, errors.ImageTooLarge),
        ((40, 8), {"max_side": 39}, errors.ImageTooLarge),
        ((40, 7), {}, errors.ImageTooSmall),
    ],
)
def test_a_picture_beyond_a_limit_is_refused(size, changes, error):
    with pytest.raises(error, match="The picture is 40 x"):
        images.inspect(encoded(Image.new("RGB", size), "PNG"), limits(**changes))


def test_a_picture_on_the_limits_is_accepted():
    data = encoded(Image.new("RGB", (40, 8)), "PNG")
    images.inspect(data, limits(max_pixels=320, max_side=40, max_bytes=len(data)))


def bombs() -> Iterator[tuple[str, bytes]]:
    side = 30_000
    yield "png", png(side, side, 1, 0, (b"\0" + bytes(side // 8)) * side)
    yield "png, small side", png(16_385, 8, 1, 0, b"")
    yield "gif", b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x08"
    bmp_header = struct.pack("<IiiHHIIiiII", 40, 65_000, 65_000, 1, 24, 0, 0, 0, 0, 0, 0)
    yield "bmp", b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + bmp_header
    vp8x = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\x3e\x00" * 2
    yield "webp", b"RIFF" + struct.pack("<I", len(vp8x) + 4) + b"WEBP" + vp8x


@pytest.mark.parametrize(("name", "bomb"), [pytest.param(*bomb, id=bomb[0]) for bomb in bombs()])
def test_a_bomb_is_refused_from_its_header(name, bomb):
    images.inspect(encoded(scene(), "WEBP"), LIMITS)  # the plugins are loaded by now
    started = time.process_time()
    expected = errors.ImageError if name == "webp" else errors.ImageTooLarge
    with pytest.raises(expected):
        images.decode(bomb, LIMITS)
    assert time.process_time() - started < 0.05


@pytest.mark.filterwarnings("error")
def test_warnings_as_errors_change_no_refusal():
    with pytest.raises(errors.ImageTooLarge):
        images.inspect(png(10_000, 10_000, 1, 0, b""), LIMITS)


def test_a_text_bomb_does_no_harm():
    bomb = zlib.compress(bytes(80_000_000), 9)
    rows = (b"\0" + bytes(24)) * 8
    data = png(8, 8, 8, 2, rows, *[(b"zTXt", b"k\0\0" + bomb)] * 20)
    started = time.process_time()
    assert images.inspect(data, LIMITS).width == 8
    assert time.process_time() - started < 1


# Damage


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("BMP", {}),
        ("GIF", {}),
    ],
)
def test_a_truncated_picture_is_never_taken_for_a_whole_one(name, options):
    data = encoded(scene(320, 200), name, **options)
    for percent in range(5, 100, 5):
        with pytest.raises(errors.ImageTruncated):
            images.decode(data[: len(data) * percent // 100], LIMITS)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_a_cut_at_any_of_the_first_bytes_is_an_image_error(name):
    data = encoded(scene(), name)
    for length in range(1, 64):
        with pytest.raises(errors.ImageError):
            images.decode(data[:length], LIMITS)


def test_damage_in_the_middle_is_undecodable():
    data = bytearray(encoded(scene(), "PNG"))
    data[100:400] = bytes(300)
    with pytest.raises(errors.ImageUndecodable, match="damaged"):
        images.decode(bytes(data), LIMITS)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", EVERY_FORMAT)
@pytest.mark.parametrize("read", [images.inspect, images.decode])
def test_flipped_bytes_raise_image_errors_only(name, read: Callable):
    whole = encoded(scene(), name)
    chance = random.Random(f"{name} 20")
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 12)):
            data[chance.randrange(min(len(data), chance.choice((64, 10_000))))] = chance.randrange(
                256
            )
        with suppress(errors.ImageError):
            read(bytes(data), limits(formats=EVERY_FORMAT))


def test_a_picture_with_something_behind_it_is_a_picture():
    data = encoded(scene(), "PNG") + b"<script>alert(1)</script>PK\x03\x04"
    assert np.array_equal(pixels(data), np.asarray(scene()))


def test_a_jpeg_of_more_scans_than_a_picture_has_is_refused_at_once():
    data = encoded(scene(), "JPEG", progressive=True)
    assert 2 <= data.count(b"\xff\xda") <= 12
    images.decode(data, LIMITS)
    scan = data[data.rindex(b"\xff\xda") : -2]
    many = data[:-2] + 1_000 * scan + data[-2:]
    for read in (images.inspect, images.decode):
        with pytest.raises(errors.ImageUndecodable, match="100 are allowed"):
            read(many, LIMITS)
