"""Pictures: what a header says, upright RGB pixels, and the size that an engine wants.

With `pixels`, `header` and `details` the only place that knows Pillow. What a file is called plays
no part: bytes decide.

- Size is judged from the header, before a pixel is decoded. Our own limit does it, on the picture
  at hand. Pillow's global ceiling (about 179 million pixels) stays as it is above that: changing
  it, or the warning filters, for one call would be seen by every other thread.
- Only the first frame of an animation is read.
- How colours, transparency and turns are treated is told in `pixels`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from captioner import errors, header, pixels

if TYPE_CHECKING:  # a decode child must not load pydantic
    from captioner.settings import Settings

Size = tuple[int, int]


class Within(NamedTuple):
    """A `Size` that is the most: a picture keeps its shape, and is never made larger."""

    height: int
    width: int


Resampling = Image.Resampling
"""The filters with which a picture is resized. Networks were trained with one each."""

_MEDIA_TYPES = {
    name: f"image/{name.lower()}"
    for name in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIC")
}
_PLUGINS = {
    "JPEG": "Jpeg",
    "PNG": "Png",
    "WEBP": "WebP",
    "GIF": "Gif",
    "BMP": "Bmp",
    "TIFF": "Tiff",
    "AVIF": "Avif",
}
_OUR_NAMES = {"MPO": "JPEG", "HEIF": "HEIC"}
_SIGNS = {
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "PNG": re.compile(rb"\x89PNG\r\n"),
    "WEBP": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "GIF": re.compile(rb"GIF8[79]a"),
    "TIFF": re.compile(rb"II\*\0|MM\0\*"),
    "AVIF": re.compile(rb"....ftypavi[fs]", re.DOTALL),
    "HEIC": re.compile(rb"....ftyp(hei[cxms]|hev[cxms]|mif1)", re.DOTALL),
}
"""How files begin. Only those of one of the formats are asked more."""


@dataclass(frozen=True)
class ImageLimits:
    """What a picture may be: `formats` by our names, sizes in bytes and pixels."""

    formats: tuple[str, ...]
    max_bytes: int
    max_pixels: int
    max_side: int
    min_side: int
    fast_decode: bool = False
    """Whether a JPEG may be decoded smaller than it is, where it is to be made smaller anyway."""

    @classmethod
    def from_settings(cls, settings: "Settings") -> Self:
        """The limits in force. ValueError when a format's decoder is not installed."""
        for name in settings.image_formats:
            _pillow_name(name)
        return cls(
            formats=settings.image_formats,
            max_bytes=settings.max_image_bytes,
            max_pixels=settings.max_image_pixels,
            max_side=settings.max_image_side,
            min_side=settings.min_image_side,
            fast_decode=settings.fast_decode,
        )


@dataclass(frozen=True)
class ImageInfo:
    """What a header says. `width` and `height` are as stored, before any EXIF turn."""

    format: str
    media_type: str
    width: int
    height: int
    bytes: int


def inspect(data: bytes, limits: ImageLimits) -> ImageInfo:
    """What the header says, without decoding a pixel. Raises an `ImageError` that says why not."""
    with opened(data, limits) as image:
        name = _OUR_NAMES.get(str(image.format), str(image.format))
        return ImageInfo(name, _MEDIA_TYPES[name], *image.size, len(data))


def decode(data: bytes, limits: ImageLimits, *, wanted: Size | None = None) -> Image.Image:
    """The upright RGB picture, without metadata. Raises an `ImageError`, and nothing else.

    `wanted` is the (height, width) that it will have. With `limits.fast_decode` a JPEG is then
    scaled in its transform to an eighth, a quarter or a half, but never below twice that.
    """
    with opened(data, limits) as image:
        if limits.fast_decode and wanted is not None:
            side = 2 * max(wanted)  # it may lie on its side
            image.draft(None, (side, side))
        return pixels.upright_rgb(image)


def fit(
    image: Image.Image, size: Size, resampling: Resampling = Resampling.BICUBIC
) -> NDArray[np.uint8]:
    """`image` as (height, width, 3) for a `size` of (height, width), its shape not kept.

    Bit for bit what the PIL image processors of transformers make of it with that filter. For a
    size that is `Within`, what `inside` says.
    """
    height, width = inside((image.height, image.width), size) if _is_most(size) else size
    return np.array(image.resize((width, height), resampling))


def inside(size: Size, most: Size) -> Size:
    """The largest (height, width) of the shape of `size` that neither `size` nor `most` exceeds."""
    scale = min(1.0, *(bound / side for side, bound in zip(size, most, strict=True)))
    height, width = (max(1, round(side * scale)) for side in size)
    return height, width


def may_be(shape: Size, size: Size) -> bool:
    """Whether `fit` for that `size` gives pictures of that (height, width)."""
    if not _is_most(size):
        return shape == size
    return all(1 <= side <= bound for side, bound in zip(shape, size, strict=True))


def png(pixels: NDArray[np.uint8]) -> bytes:
    """(height, width, 3) as a PNG file: the same pixels to whoever reads it."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def jpeg(pixels: NDArray[np.uint8], within: Size) -> bytes:
    """(height, width, 3) as a JPEG file without metadata, not larger than (height, width)."""
    height, width = inside(pixels.shape[:2], within)
    file = BytesIO()
    small = Image.fromarray(pixels).resize((width, height), Resampling.LANCZOS)
    small.save(file, "JPEG", quality=85, optimize=True)
    return file.getvalue()


def _is_most(size: Size) -> bool:
    return isinstance(size, Within)


@contextmanager
def opened(data: bytes, limits: ImageLimits) -> Iterator[Image.Image]:
    """The picture with its header read, no pixel decoded. Raises an `ImageError`, as the block does
    for whatever is raised in it.
    """
    if not data:
        raise errors.ImageEmpty("The picture has no bytes. Send the whole file.")
    if len(data) > limits.max_bytes:
        detail = f"The picture has {len(data)} bytes; {limits.max_bytes} are allowed."
        raise errors.ImageTooManyBytes(f"{detail} Compress it or make it smaller.")
    names = [_pillow_name(name) for name in limits.formats]
    try:
        file = header.Header(data)
        with Image.open(file, formats=names) as image:
            file.done()
            _check_size(image.size, limits)
            if _OUR_NAMES.get(str(image.format), image.format) == "JPEG":
                header.refuse_many_scans(data)
            yield image
    except errors.ImageError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged file may raise anything
        _refuse(data, names, limits, error)


@lru_cache
def _pillow_name(name: str) -> str:
    # Loads this one plugin: left to itself, Pillow loads every one at the first WebP.
    if name == "HEIC":
        try:
            import_module("pillow_heif").register_heif_opener()
        except ImportError as error:
            raise ValueError("image_formats=HEIC needs the extra captioner[heic]") from error
        return "HEIF"
    if name == "AVIF" and not features.check("avif"):
        raise ValueError("image_formats=AVIF needs a Pillow that was built with AVIF")
    import_module(f"PIL.{_PLUGINS[name]}ImagePlugin")
    sparing = {"JPEG": header.pass_over_more_exif, "PNG": header.pass_over_texts}.get(name)
    if sparing is not None:
        sparing()
    return name


def _check_size(size: Size, limits: ImageLimits) -> None:
    width, height = size
    found = f"The picture is {width} x {height} pixels"
    if width * height > limits.max_pixels or max(size) > limits.max_side:
        allowed = f"at most {limits.max_pixels} pixels and {limits.max_side} on a side are allowed"
        raise errors.ImageTooLarge(f"{found}; {allowed}. Make it smaller.")
    if min(size) < limits.min_side:
        detail = f"{found}; a side must have at least {limits.min_side}. Send a larger picture."
        raise errors.ImageTooSmall(detail)


def _refuse(data: bytes, names: list[str], limits: ImageLimits, error: Exception) -> NoReturn:
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        detail = f"The picture has too many pixels; at most {limits.max_pixels} are allowed."
        raise errors.ImageTooLarge(f"{detail} Make it smaller.") from error
    if isinstance(error, MemoryError):
        detail = "Decoding takes more memory than one picture may use. Make the picture smaller."
        raise errors.ImageUndecodable(detail) from error
    name = next((name for name in names if _accepts(name, data)), None)
    if name is None or str(error).startswith("Unsupported"):
        known = ", ".join(_OUR_NAMES.get(name, name) for name in names)
        what = _kind(data)
        found = f"{what} pictures are not read here" if what else "The bytes are no picture"
        detail = f"{found}. Send one of {known}."
        raise errors.UnsupportedImageFormat(detail) from error
    if "truncated" in str(error).lower() or _ends_early(data, name):
        detail = "The picture's file ends too early. Send the whole file."
        raise errors.ImageTruncated(detail) from error
    detail = "The picture's file is damaged. Save it anew from its source and send that."
    raise errors.ImageUndecodable(detail) from error


def _kind(data: bytes) -> str | None:
    """What a file of no format that is read here says that it is."""
    return next((kind for kind, sign in _SIGNS.items() if sign.match(data)), None)


def _accepts(name: str, data: bytes) -> bool:
    if name == "BMP" and data[6:10] != bytes(4):
        return False  # Pillow is content with the letters BM, as in "BMW"
    accept: Any = Image.OPEN[name][1]
    return accept is not None and accept(data[:16]) is True


def _ends_early(data: bytes, name: str) -> bool:
    match name:
        case "JPEG":
            return not data.rstrip(b"\0").endswith(b"\xff\xd9")
        case "PNG":
            return b"IEND" not in data
        case "GIF":
            return not data.rstrip(b"\0").endswith(b";")
        case "WEBP":
            return int.from_bytes(data[4:8], "little") + 8 > len(data)
        case "BMP":
            return int.from_bytes(data[2:6], "little") > len(data)
    return False
