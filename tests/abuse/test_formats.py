"""Rows 10 and 11: what Pillow could open is not what is read here; and who decodes what is read."""

from pathlib import Path

import pytest
from PIL import Image

from captioner import errors, images
from tests.abuse.foreign import FOREIGN, foreign, heic
from tests.unit.sample_images import LIMITS, limits

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", FOREIGN)
def test_row_10_whatever_else_pillow_opens_is_unsupported(name: str) -> None:
    data = foreign(name)
    accept = Image.OPEN[name][1]
    assert accept is None or accept(data[:16]) is True, "it is no sample of this format"
    for read in (images.inspect, images.decode):
        with pytest.raises(errors.UnsupportedImageFormat, match="JPEG, PNG, WEBP, GIF, BMP"):
            read(data, LIMITS)


def test_row_11_of_heic_the_api_reads_the_boxes_and_decodes_no_pixel() -> None:
    whole, allowed = heic(), limits(formats=("HEIC",))
    begin = whole.index(b"mdat") + 4
    damaged = whole[:begin] + bytes(len(whole) - begin)
    assert images.inspect(damaged, allowed) == images.inspect(whole, allowed)
    with pytest.raises(errors.ImageUndecodable):
        images.decode(damaged, allowed)
    assert images.decode(whole, allowed).size == (48, 32)


def test_row_11_nobody_decodes_but_the_children() -> None:
    sources = [path for part in ("api", "captioner", "cli", "worker") for path in
               (ROOT / part).rglob("*.py")]  # fmt: skip
    decoding = [path.name for path in sources if "images.decode(" in path.read_text("utf-8")]
    assert decoding == ["decode_child.py"]
    with_pillow = {path.name for path in sources if "from PIL" in path.read_text("utf-8")}
    assert with_pillow == {"details.py", "header.py", "images.py", "pixels.py"}
