"""Hostile pictures of rows 14 and 17, made by hand: no program writes the like."""

import struct
import zlib
from collections.abc import Sequence

from PIL import Image

from tests.pictures import encoded
from tests.unit.sample_images import png

MIB = 2**20
BYTES = 14_900_000
"""Just below what one picture's file may have."""
ROWS = (b"\0" + bytes(24)) * 8
WIDE = "😀".encode()
"""A character for which all of its text takes four bytes each."""
LAUGHS = b"".join(
    [
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">',
        *(b'<!ENTITY %c "%b">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9)),
        b"]><x:xmpmeta>&j;</x:xmpmeta>",
    ]
)
"""XML that becomes ten billion letters, if somebody lets it."""
FRAME = b",\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"
"""Of a GIF: one pixel."""


def drawn(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of 8 x 8 with these chunks before its pixels."""
    return png(8, 8, 8, 2, ROWS, *chunks)


def compressed(text: bytes, name: bytes = b"k") -> tuple[bytes, bytes]:
    return b"iTXt", name + b"\0\1\0\0\0" + zlib.compress(text, 9)


def behind_start(segments: bytes) -> bytes:
    """A JPEG with these segments before all others."""
    return b"\xff\xd8" + segments + encoded(Image.new("RGB", (8, 8)), "JPEG")[2:]


def segment(marker: bytes, data: bytes) -> bytes:
    return marker + struct.pack(">H", len(data) + 2) + data


def gif(*parts: bytes, side: int = 8) -> bytes:
    """A GIF of a grey screen with these parts, and no picture but what they have."""
    return b"GIF89a" + struct.pack("<HHBBB", side, side, 0, 0, 0) + b"".join(parts) + b";"


def metadata() -> Sequence[tuple[str, bytes]]:
    """Row 14: what is said beside the pixels is large, or becomes large."""
    bomb = zlib.compress(bytes(80_000_000), 9)
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0"
    return [
        ("zTXt of 1.6 GB", drawn(*[(b"zTXt", b"k\0\0" + bomb)] * 20)),
        ("iTXt of 1.6 GB", drawn(*[(b"iTXt", b"k\0\1\0\0\0" + bomb)] * 20)),
        ("iTXt, just small enough", drawn(
            *[compressed(WIDE + bytes(MIB - 5), b"%d" % n) for n in range(63)]
        )),
        ("iTXt, plain", drawn((b"iTXt", b"k\0\0\0\0\0" + WIDE + b"a" * 14_000_000))),
        ("tEXt, plain", drawn((b"tEXt", b"k\0" + b"a" * 14_000_000))),
        ("XMP of 80 MB", drawn((b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + bomb))),
        ("XMP of laughs, PNG", drawn(compressed(LAUGHS, b"XML:com.adobe.xmp"))),
        ("XMP of laughs, JPEG", behind_start(
            segment(b"\xff\xe1", b"http://ns.adobe.com/xap/1.0/\0" + LAUGHS)
        )),
        ("profile of 80 MB", drawn((b"iCCP", b"k\0\0" + bomb))),
        ("EXIF of 10 MB, PNG", drawn((b"eXIf", exif[6:] + bytes(10_000_000)))),
        ("EXIF of 10 MB, JPEG", behind_start(
            segment(b"\xff\xe1", exif + bytes(65_000)) * 155
        )),
        ("EXIF of 10 MB, WebP", encoded(
            Image.new("RGB", (8, 8)), "WEBP", exif=exif + bytes(10_000_000)
        )),
    ]  # fmt: skip


def crumbs() -> Sequence[tuple[str, bytes]]:
    """Row 14: headers of nothing but tiny parts, each of which takes a moment."""
    return [
        ("PNG chunks", drawn(*[(b"abcd", b"")] * (BYTES // 12))),
        ("JPEG segments", behind_start(b"\xff\xe5\0\2" * (BYTES // 4))),
        ("JPEG comments", behind_start(b"\xff\xfe\0\2" * (BYTES // 4))),
        ("JPEG padding", behind_start(b"\xff" * BYTES)),
        ("GIF extensions", gif(b"!\1\1x\0" * (BYTES // 5), FRAME)),
        ("GIF comment", gif(b"!\xfe" + b"\1a" * (BYTES // 2), b"\0", FRAME)),
        ("GIF of nothing", gif(b"\1" * BYTES, FRAME)),
    ]


def frames(kind: str, *, count: int = 2_000, side: int = 16) -> bytes:
    """An animation. Its first frame is all of one grey, and no two that follow are alike."""
    drawn = [Image.new("L", (side, side), 8 + number % 200) for number in range(count)]
    quick = {"lossless": True, "method": 0} if kind == "WEBP" else {}
    return encoded(drawn[0], kind, save_all=True, append_images=drawn[1:], **quick)


def frame_bomb(side: int = 6_000) -> bytes:
    """A GIF of 15 MB: each of its million frames stands on a screen of 36 million pixels."""
    return gif(FRAME * (BYTES // len(FRAME)), side=side)


def lying_apng() -> bytes:
    """A PNG that says it has four billion frames."""
    return drawn((b"acTL", b"\xff" * 4 + bytes(4)))
