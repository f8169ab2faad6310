"""A picture is known by its bytes, and read when its format is one that the settings name."""

import io
import struct
import sys

import numpy as np
import pillow_heif
import pytest
from PIL import Image, features

from captioner import errors, images
from captioner.images import ImageLimits
from captioner.settings import Settings
from tests.pictures import encoded
from tests.unit.sample_images import LIMITS, limits, pixels, scene


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_the_header_tells_format_and_size(name):
    data = encoded(scene(), name)
    info = images.inspect(data, LIMITS)
    assert info == images.ImageInfo(name, f"image/{name.lower()}", 48, 32, len(data))


def test_a_camera_pair_counts_as_jpeg():
    data = encoded(scene(), "MPO", save_all=True, append_images=[scene(seed=8)], quality=95)
    assert Image.open(io.BytesIO(data)).format == "MPO"
    assert images.inspect(data, LIMITS).format == "JPEG"
    assert np.abs(pixels(data).astype(int) - np.asarray(scene())).mean() < 16


def test_no_bytes_are_refused_as_empty():
    with pytest.raises(errors.ImageEmpty):
        images.inspect(b"", LIMITS)


GARBAGE = {
    "one byte": b"x",
    "text": b"This is no picture at all, only words. " * 9,
    "text that starts like a bitmap": b"BMW makes cars, and this is not a bitmap of one. " * 9,
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect/></svg>',
    "html": b"<!doctype html><html><body><img src=x></body></html>",
    "pdf": b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF",
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "zip": b"PK\x03\x04" + bytes(60),
    "elf": b"\x7fELF\x02\x01\x01" + bytes(60),
    "wave": b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(60),
}


@pytest.mark.parametrize("kind", GARBAGE)
@pytest.mark.parametrize("read", [images.inspect, images.decode])
def test_what_is_no_picture_is_unsupported(kind, read):
    with pytest.raises(errors.UnsupportedImageFormat, match="JPEG, PNG, WEBP, GIF, BMP"):
        read(GARBAGE[kind], LIMITS)


@pytest.mark.parametrize("name", ["TIFF", "ICO", "TGA", "PPM", "PCX", "SGI", "JPEG2000", "DDS"])
def test_formats_that_nobody_asked_for_are_refused(name):
    Image.init()
    with pytest.raises(errors.UnsupportedImageFormat):
        images.inspect(encoded(scene(), name), LIMITS)


def test_a_psd_is_refused():
    psd = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 9, 9, 8, 3) + bytes(400)
    with pytest.raises(errors.UnsupportedImageFormat):
        images.inspect(psd, LIMITS)


def test_tiff_is_read_when_the_setting_says_so():
    data = encoded(scene(), "TIFF")
    allowed = ImageLimits.from_settings(Settings(image_formats=("TIFF",), _env_file=None))
    assert images.inspect(data, allowed).media_type == "image/tiff"
    assert np.array_equal(np.asarray(images.decode(data, allowed)), np.asarray(scene()))
    with pytest.raises(errors.UnsupportedImageFormat, match="Send one of TIFF"):
        images.inspect(encoded(scene(), "PNG"), allowed)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_is_read_when_the_setting_says_so():
    data = encoded(scene(), "AVIF", quality=95)
    with pytest.raises(errors.UnsupportedImageFormat):
        images.inspect(data, LIMITS)
    assert images.inspect(data, limits(formats=("AVIF",))).format == "AVIF"
    difference = pixels(data, formats=("AVIF",)).astype(int) - np.asarray(scene())
    assert np.abs(difference).mean() < 16


def test_heic_is_read_when_the_setting_says_so():
    data = io.BytesIO()
    pillow_heif.from_pillow(scene()).save(data, quality=95)
    with pytest.raises(errors.UnsupportedImageFormat):
        images.inspect(data.getvalue(), LIMITS)
    assert images.inspect(data.getvalue(), limits(formats=("HEIC",))).media_type == "image/heic"


def test_heic_without_its_package_is_refused_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    images._pillow_name.cache_clear()
    with pytest.raises(ValueError, match=r"HEIC needs the extra captioner\[heic\]"):
        ImageLimits.from_settings(Settings(image_formats=("HEIC",), _env_file=None))
    images._pillow_name.cache_clear()


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "GIF", "TIFF"])
def test_a_format_that_is_not_read_here_is_called_by_its_name(name):
    data = encoded(Image.new("RGB", (40, 40)), name)
    other = "PNG" if name == "JPEG" else "JPEG"
    with pytest.raises(errors.UnsupportedImageFormat) as refused:
        images.inspect(data, limits(formats=(other,)))
    assert refused.value.detail == f"{name} pictures are not read here. Send one of {other}."


def test_what_is_no_picture_is_called_none():
    with pytest.raises(errors.UnsupportedImageFormat, match="The bytes are no picture"):
        images.inspect(b"a letter to a friend", LIMITS)
