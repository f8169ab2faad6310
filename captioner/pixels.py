"""From what Pillow loaded to upright sRGB pixels. The other half of `images`; ask that one.

- Transparency is laid over white. 16-bit grey is scaled; Pillow's own conversion saturates it.
- An embedded ICC profile of up to 4 MiB is applied (perceptual intent, to sRGB). A profile that is
  broken, or does not fit the pixels, is ignored. So is one that is sRGB in all but name, and then,
  as without a profile, the pixels are bit for bit those of a plain decode.
- Of the metadata only the EXIF orientation is read; if that is damaged, pixels stay as stored.
"""

from contextlib import suppress
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms, ImageFile

_WIDE_GREY = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I", "F"})
_MAX_PROFILE_BYTES = 4 * 2**20
_SRGB_TOLERANCE = 4  # of 255: what rounding does to colours under a profile that means sRGB
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright_rgb(image: Image.Image) -> Image.Image:
    """`image`, opened but not yet loaded, as upright sRGB pixels without metadata.

    Raises whatever Pillow raises for a damaged file.
    """
    _mend_transparent_colour(image)
    image.load()
    # PNG may carry its orientation after the pixels, so it is asked for after the load.
    orientation = _orientation(image)
    rgb = _in_srgb(_flat(image), image.info.get("icc_profile"))
    turn = _TURNS.get(orientation)
    upright = rgb if turn is None else rgb.transpose(turn)
    upright.info = {}
    return upright


def _mend_transparent_colour(image: Image.Image) -> None:
    # Pillow widens 2- and 4-bit grey, and narrows 16-bit RGB, to 8 bits, but leaves the
    # transparent colour of the file (PNG's tRNS) at its old depth, where it matches nothing.
    colour = image.info.get("transparency")
    depth = image.tile[0].args if isinstance(image, ImageFile.ImageFile) and image.tile else None
    if isinstance(colour, int) and depth in ("L;2", "L;4"):
        image.info["transparency"] = colour * (85 if depth == "L;2" else 17)
    elif isinstance(colour, tuple) and depth == "RGB;16B":
        image.info["transparency"] = tuple(part >> 8 for part in colour)


def _flat(image: Image.Image) -> Image.Image:
    # In a mode that a colour profile may speak of: L, RGB or CMYK.
    if image.mode in _WIDE_GREY:
        return _wide_grey(image)
    if image.has_transparency_data:
        colours = image.convert("RGBA")
        white = Image.new("RGBA", colours.size, "white")
        return Image.alpha_composite(white, colours).convert("RGB")
    return image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")


def _wide_grey(image: Image.Image) -> Image.Image:
    # 16-bit values are shares of 65535, floats shares of 1. Files that go beyond (only TIFF can)
    # have no agreed white, so their own darkest and brightest values are taken.
    samples = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0, neginf=0)
    transparent = samples == image.info.get("transparency", np.nan)  # NaN equals nothing
    ceiling = 1.0 if image.mode == "F" else 65535.0
    low, high = float(samples.min()), float(samples.max())
    if low >= 0 and high <= ceiling:
        low, high = 0.0, ceiling
    samples -= low
    samples *= 255 / ((high - low) or 1)
    grey = np.rint(samples, out=samples).astype(np.uint8)
    grey[transparent] = 255
    return Image.fromarray(grey)


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile and len(profile) <= _MAX_PROFILE_BYTES:
        with suppress(ImageCms.PyCMSError, OSError, TypeError, ValueError):
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            srgb = ImageCms.createProfile("sRGB")
            transform = ImageCms.buildTransform(source, srgb, image.mode, "RGB")
            if _changes_colours(transform, image.mode):
                return ImageCms.applyTransform(image, transform) or image
    return image if image.mode == "RGB" else image.convert("RGB")


def _changes_colours(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    # Judged by what it does, not by what it is called: sRGB profiles go by many names.
    if mode == "CMYK":
        return True
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3)
    sample = Image.fromarray(grid if mode == "RGB" else grid[..., 0])
    before = np.asarray(sample.convert("RGB"), dtype=np.int16)
    after = np.asarray(ImageCms.applyTransform(sample, transform), dtype=np.int16)
    return int(np.abs(after - before).max()) > _SRGB_TOLERANCE


def _orientation(image: Image.Image) -> int:
    with suppress(Exception):  # damaged EXIF may raise anything, and the pixels are fine
        return int(image.getexif()[_ORIENTATION])
    return 1
