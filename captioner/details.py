"""What the file of a picture says of itself, read from its header: no pixel is decoded.

Of EXIF (CIPA DC-008), only what is safe to show: the camera, its clock, which way is up. Where a
picture was taken is told to whoever asks for just that, and never kept beside the picture.
A stranger wrote all of this: it is bounded, and what is damaged is not there.
"""

import math
import re
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from PIL import Image

from captioner import images
from captioner.images import ImageLimits

MAX_EXIF_BYTES = 64 * 2**10
"""As much as a JPEG can have. A PNG may have more, which nobody needs."""
MAX_CHARS = 60
MAKE, MODEL, ORIENTATION, EXIF_IFD, GPS_IFD = 0x010F, 0x0110, 0x0112, 0x8769, 0x8825
TAKEN, TAKEN_OFFSET = 0x9003, 0x9011
LATITUDE, LONGITUDE = (1, 2), (3, 4)
"""In the GPS part: where the letter stands, and where degrees, minutes and seconds do."""
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")
# For good: strangers' damaged EXIF is no news, and would fill the log.
CLOCK = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)")
OFFSET = re.compile(r"[+-]\d\d:\d\d")


@dataclass(frozen=True)
class Details:
    """Of one file. `width` and `height` are as stored, before any EXIF turn."""

    format: str
    mode: str
    bytes: int
    width: int
    height: int
    camera: str | None = None
    taken_at: str | None = None
    """By the camera's clock: ISO 8601, with a zone where the file has one."""
    orientation: int | None = None


@dataclass(frozen=True)
class Position:
    """Where a picture was taken, in degrees: north and east are positive."""

    latitude: float
    longitude: float


def read(data: bytes, limits: ImageLimits) -> Details:
    """What the file says of itself. Raises an `ImageError` as `images.inspect` does."""
    info = images.inspect(data, limits)
    with images.opened(data, limits) as image:
        mode, exif = image.mode, _exif(image)
    return Details(
        format=info.format,
        mode=mode,
        bytes=info.bytes,
        width=info.width,
        height=info.height,
        camera=_camera(exif),
        taken_at=_taken_at(exif),
        orientation=_orientation(exif),
    )


def position(data: bytes, limits: ImageLimits) -> Position | None:
    """Where it was taken, if the file says so. Raises an `ImageError` as `images.inspect` does."""
    with images.opened(data, limits) as image:
        exif = _exif(image)
    with suppress(Exception):  # a damaged part may raise anything
        gps = exif.get_ifd(GPS_IFD)
        latitude = _degrees(gps, *LATITUDE, signs={"N": 1, "S": -1}, most=90)
        longitude = _degrees(gps, *LONGITUDE, signs={"E": 1, "W": -1}, most=180)
        return Position(latitude, longitude)
    return None


def _exif(image: Image.Image) -> Image.Exif:
    # Not `image.getexif()`: of a PNG, that decodes the pixels to look for more behind them.
    exif, raw = Image.Exif(), image.info.get("exif")
    if isinstance(raw, bytes) and len(raw) <= MAX_EXIF_BYTES:
        with suppress(Exception):
            exif.load(raw)
    return exif


def _camera(exif: Image.Exif) -> str | None:
    make, model = _text(exif, MAKE), _text(exif, MODEL)
    if make and model and model.lower().startswith(make.lower()):
        return model
    return " ".join(filter(None, (make, model))) or None


def _taken_at(exif: Image.Exif) -> str | None:
    with suppress(Exception):
        part = exif.get_ifd(EXIF_IFD)
        said, offset = CLOCK.fullmatch(_text(part, TAKEN)), _text(part, TAKEN_OFFSET)
        if said:
            local = f"{said[1]}-{said[2]}-{said[3]}T{said[4]}"
            return datetime.fromisoformat(
                local + offset if OFFSET.fullmatch(offset) else local
            ).isoformat()
    return None


def _orientation(exif: Image.Exif) -> int | None:
    with suppress(Exception):
        number = exif.get(ORIENTATION)
        return number if isinstance(number, int) and 1 <= number <= 8 else None
    return None


def _text(part: Mapping[int, Any], tag: int) -> str:
    with suppress(Exception):
        found = part.get(tag)
        if isinstance(found, str):
            return "".join(c for c in found if c.isprintable()).strip()[:MAX_CHARS].strip()
    return ""


def _degrees(
    gps: Mapping[int, Any], letter: int, numbers: int, *, signs: Mapping[str, int], most: int
) -> float:
    degrees, minutes, seconds = (float(number) for number in gps[numbers])
    value = signs[str(gps[letter]).strip("\0 ").upper()] * (degrees + minutes / 60 + seconds / 3600)
    if not math.isfinite(value) or abs(value) > most:
        raise ValueError("no place on earth")
    return round(value, 6)
