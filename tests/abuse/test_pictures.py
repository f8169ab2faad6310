"""Row 13: the largest picture that is allowed, decoded as a worker does it."""

import time
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from captioner import images
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


def pillow_s(data: bytes) -> float:
    """Processor time in which Pillow reads the picture and shrinks it, here and now."""
    before_s = time.process_time()
    Image.open(BytesIO(data)).convert("RGB").resize(SIZE, Image.Resampling.BICUBIC)
    return time.process_time() - before_s


def used_s(pid: int) -> float:
    """Processor time, so that a busy machine does not count."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
