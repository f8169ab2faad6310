"""Pictures to send, what they may be, and the pixels that come of them."""

import struct
import zlib

import numpy as np
from PIL import Image

from captioner import images
from captioner.images import ImageLimits
from captioner.settings import Settings

LIMITS = ImageLimits.from_settings(Settings(_env_file=None))


def limits(**changes) -> ImageLimits:
    return ImageLimits(**{**vars(LIMITS), **changes})


def scene(width: int = 48, height: int = 32, seed: int = 7) -> Image.Image:
    """Smooth colours with some noise, so that it compresses like a photograph."""
    rows, columns = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(seed).integers(0, 24, (height, width))
    planes = (rows * 200 // height + noise, columns * 200 // width + noise, noise * 8)
    return Image.fromarray(np.stack(planes, axis=-1).astype(np.uint8))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *chunks) -> bytes:
    """A PNG written by hand, for the kinds that Pillow reads but does not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )


def pixels(data: bytes, **changes) -> np.ndarray:
    image = images.decode(data, limits(min_side=1, **changes))
    assert image.mode == "RGB"
    assert not image.info
    return np.asarray(image)
