"""Rows 13, 17 and 19: the largest picture, animations, and a JPEG of four colours."""

import time
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from captioner import images
from tests.abuse.specimens import FRAME, frame_bomb, frames, gif, lying_apng
from tests.abuse.watch import peak_mib
from tests.pictures import encoded
from tests.unit.decoding import LIMITS, SIZE, children, pool, result

SIDE = 6_300
MOST_MIB = 500
MOST_S = 1.0
"""On a machine where Pillow alone takes half of it; more where Pillow itself takes longer."""


@pytest.mark.parametrize("name", ["JPEG", "PNG"])
def test_row_13_the_largest_picture_is_decoded_within_bounds(name: str) -> None:
    side = Image.linear_gradient("L").resize((SIDE, SIDE))
    data = encoded(Image.merge("RGB", (side, side, side)), name)
    assert images.inspect(data, LIMITS).width == SIDE
    alone_s = pillow_s(data)
    with pool(timeout_s=20) as running:
        result(running.submit(encoded(Image.new("RGB", (64, 64))), size=SIZE))
        before_s = sum(map(used_s, children()))
        decoded = result(running.submit(data, size=SIZE))
        took_s = sum(map(used_s, children())) - before_s
        peak = max(map(peak_mib, children()))
    print(f"\n{name}: {took_s:.2f} s of a processor (Pillow {alone_s:.2f} s), {peak:.0f} MiB")
    assert decoded.pixels.shape == (*SIZE, 3)
    assert peak <= MOST_MIB
    assert took_s <= max(MOST_S, 2 * alone_s)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_row_17_two_thousand_frames_cost_no_more_than_one(kind: str) -> None:
    data = frames(kind)
    with Image.open(BytesIO(data)) as opened:
        assert opened.n_frames == 2_000
    begun_s = time.process_time()
    assert images.inspect(data, LIMITS).width == 16
    first = images.decode(data, LIMITS)
    assert time.process_time() - begun_s <= 0.2
    assert first.getpixel((8, 8)) == (8, 8, 8)


def test_row_17_a_million_frames_of_a_large_screen_cost_no_more_than_one() -> None:
    took_s = []
    for data in (gif(FRAME, side=6_000), frame_bomb()):
        images.decode(data, LIMITS)
        begun_s = time.process_time()
        assert images.decode(data, LIMITS).size == (6_000, 6_000)
        took_s.append(time.process_time() - begun_s)
    one_s, many_s = took_s
    assert many_s <= max(2 * one_s, 0.2)


@pytest.mark.filterwarnings("ignore:Invalid APNG")
def test_row_17_a_png_that_lies_about_its_frames_is_its_picture() -> None:
    assert images.decode(lying_apng(), LIMITS).size == (8, 8)


@pytest.mark.parametrize("red_green_blue", [(220, 30, 40), (20, 180, 60), (30, 60, 200)], ids=str)
def test_row_19_a_ycck_jpeg_has_its_colours(red_green_blue: tuple[int, int, int]) -> None:
    data = ycck(red_green_blue)
    with Image.open(BytesIO(data)) as opened:
        assert (opened.mode, opened.info["adobe_transform"]) == ("CMYK", 2)
    found = images.decode(data, LIMITS).getpixel((8, 8))
    assert max(abs(a - b) for a, b in zip(found, red_green_blue, strict=True)) <= 20


def ycck(colour: tuple[int, int, int]) -> bytes:
    """A JPEG as Photoshop writes them for print: the inverse of CMY as YCbCr, and K, all inverted.

    Pillow writes CMYK, inverted; so it is given the parts of YCCK, and then its mark (Adobe's
    Technical Note 5116) is changed to say so.
    """
    inverse = Image.new("RGB", (16, 16), tuple(255 - part for part in colour))
    parts = [part.point(lambda value: 255 - value) for part in inverse.convert("YCbCr").split()]
    data = encoded(Image.merge("CMYK", [*parts, Image.new("L", (16, 16), 0)]), "JPEG", quality=95)
    mark = data.index(b"Adobe") + 11
    return data[:mark] + b"\2" + data[mark + 1 :]


def pillow_s(data: bytes) -> float:
    """Processor time in which Pillow reads the picture and shrinks it, here and now."""
    before_s = time.process_time()
    Image.open(BytesIO(data)).convert("RGB").resize(SIZE, Image.Resampling.BICUBIC)
    return time.process_time() - before_s


def used_s(pid: int) -> float:
    """Processor time, so that a busy machine does not count."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
