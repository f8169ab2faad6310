"""The header of a picture's file, read within bounds that Pillow itself does not have.

- A header of millions of tiny parts would take seconds, and hundreds of MiB, in one process.
- The texts of a PNG are decompressed and kept, up to 256 MiB of them out of 64 kB, and nobody reads
  them: here they are passed over, but for the two that may say which way is up.
- Parts of a JPEG's EXIF are put together one by one, each time anew: not beyond a MiB, here.
- Thousands of scans of a small JPEG would take as many times its time.
"""

from collections.abc import Callable
from functools import wraps
from io import BytesIO
from typing import Any

from PIL.JpegImagePlugin import MARKER, JpegImageFile, Skip
from PIL.PngImagePlugin import PngStream

from captioner.errors import ImageUndecodable

MOST_READS = 50_000
"""A part takes one to three. Cameras and programs write a few hundred parts."""
UPRIGHT = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0")
"""The names of texts that Pillow may find an orientation in."""
UPRIGHT_BYTES = 2**20
MOST_SCANS = 100
"""Of a progressive JPEG; encoders write about ten. Each goes through all of the picture again."""
SCAN = b"\xff\xda"
"""Begins a scan. Within one, a byte 0xFF is followed by another byte than this."""
APP1 = 0xFFE1
"""The marker of a segment with EXIF."""
Chunk = Callable[[PngStream, int, int], bytes]


class Header(BytesIO):
    """A file whose header is being read: so many reads are allowed until it is `done`."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._left: float = MOST_READS

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file. Raises `ImageUndecodable` when there were too many."""
        self._left -= 1
        if self._left < 0:
            raise ImageUndecodable(
                "The picture's header has too many parts. Save it anew from its source."
            )
        return super().read(size)

    def done(self) -> None:
        """What is read now is pixels: they have bounds of their own."""
        self._left = float("inf")


def refuse_many_scans(data: bytes) -> None:
    """Raise `ImageUndecodable` for a JPEG file of more scans than a picture has."""
    scans = data.count(SCAN)
    if scans > MOST_SCANS:
        raise ImageUndecodable(
            f"The picture has {scans} scans; {MOST_SCANS} are allowed. Save it anew from its "
            "source."
        )


def pass_over_more_exif() -> None:
    """For good, in this process, whoever opens a JPEG by Pillow. To be called once."""
    name, description, usual = MARKER[APP1]

    def segment(image: JpegImageFile, marker: int) -> None:
        enough = len(image.info.get("exif", b"")) > UPRIGHT_BYTES
        (Skip if enough or usual is None else usual)(image, marker)

    handlers: Any = MARKER
    handlers[APP1] = (name, description, segment)


def pass_over_texts() -> None:
    """For good, in this process, whoever opens a PNG by Pillow. To be called once."""
    for name in ("chunk_tEXt", "chunk_zTXt", "chunk_iTXt"):
        setattr(PngStream, name, _passing_over(getattr(PngStream, name)))


def _passing_over(usual: Chunk) -> Chunk:
    @wraps(usual)
    def chunk(stream: PngStream, position: int, length: int) -> bytes:
        file: Any = stream.fp
        begin = file.read(max(map(len, UPRIGHT)))
        file.seek(position)
        if length <= UPRIGHT_BYTES and begin.startswith(UPRIGHT):
            return usual(stream, position, length)
        passed: bytes = file.read(length)
        return passed

    return chunk
