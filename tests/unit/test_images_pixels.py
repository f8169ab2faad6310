"""A picture is decoded to upright RGB pixels in sRGB, and fitted as an engine wants it."""

import io
import time

import numpy as np
import pytest
from PIL import Image, ImageCms

from captioner import images
from tests.pictures import encoded
from tests.unit.sample_images import pixels, png, scene

# Pixels


def turned(image: Image.Image, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, "PNG", exif=exif)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_ends_upright(orientation):
    upright = np.asarray(scene())
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    # Turning a quarter clockwise (6) undoes a quarter counter-clockwise: `stored` is the inverse.
    assert np.array_equal(pixels(turned(Image.fromarray(stored), orientation)), upright)


def test_a_tiff_is_turned_once():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(scene(), "TIFF", exif=exif)
    expected = np.rot90(np.asarray(scene()), -1)
    assert np.array_equal(pixels(data, formats=("TIFF",)), expected)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_exif_leaves_the_pixels_as_stored():
    data = encoded(scene(), "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert np.array_equal(pixels(data), np.asarray(scene()))


def test_large_metadata_is_dropped():
    data = encoded(scene(), "WEBP", lossless=True, xmp=b"<x>" * 3_000_000)
    assert np.array_equal(pixels(data), np.asarray(scene()))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_white(mode):
    image = Image.new(mode, (8, 8), (0, 0, 0, 0) if mode == "RGBA" else (0, 0))
    assert (pixels(encoded(image, "PNG")) == 255).all()


def test_half_transparent_black_is_mid_grey():
    assert (pixels(encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 128)), "PNG")) == 127).all()


def test_a_palette_with_transparency_is_laid_over_white():
    palette = (b"PLTE", bytes([10, 20, 30, 200, 0, 0, 0, 200, 0, 0, 0, 200]))
    data = png(4, 1, 2, 3, b"\0\x1b", palette, (b"tRNS", b"\0\xff\x80"))
    assert pixels(data)[0].tolist() == [[255] * 3, [200, 0, 0], [127, 227, 127], [0, 0, 200]]


@pytest.mark.parametrize(
    ("depth", "colour", "row", "transparent", "expected"),
    [
        (1, 0, b"\0\xa0", b"\0\1", [255, 0, 255, 0]),
        (2, 0, b"\0\x1b", b"\0\1", [0, 255, 170, 255]),
        (4, 0, b"\0\x5a\x0f", b"\0\5", [255, 170, 0, 255]),
        (8, 0, b"\0\x05\x06\x07\x08", b"\0\5", [255, 6, 7, 8]),
        (16, 0, b"\0\x80\x00\x40\x00\0\0\xff\xff", b"\x40\0", [128, 255, 0, 255]),
        (16, 2, b"\0" + b"\x10\x20" * 3 + b"\x30\x40" * 9, b"\x10\x20" * 3, [255, 48, 48, 48]),
    ],
)
def test_a_transparent_colour_is_found_at_every_depth(depth, colour, row, transparent, expected):
    data = png(4, 1, depth, colour, row, (b"tRNS", transparent))
    assert pixels(data)[0, :, 0].tolist() == expected


def test_16_bit_grey_is_scaled_and_not_saturated():
    every = np.arange(65_536, dtype=np.uint16).reshape(256, 256)
    expected = (every.astype(np.int64) * 255 + 32_767) // 65_535
    little = encoded(Image.fromarray(every), "PNG")
    assert np.array_equal(pixels(little)[..., 0], expected)


def test_16_bit_grey_tiffs_of_both_byte_orders_are_scaled():
    every = np.arange(65_536, dtype=np.uint16).reshape(256, 256)
    expected = pixels(encoded(Image.fromarray(every), "PNG"))
    big = Image.frombytes("I;16B", (256, 256), every.astype(">u2").tobytes())
    wide = Image.fromarray(every.astype(np.int32))
    for image in (Image.fromarray(every), big, wide):
        data = encoded(image, "TIFF")
        assert np.array_equal(pixels(data, formats=("TIFF",)), expected), image.mode


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([-10.0, 0.0, 10.0], [0, 128, 255]),
        ([float("nan"), 0.5, 1.0], [0, 128, 255]),
        ([9e9, 9e9, 9e9], [0, 0, 0]),
    ],
)
def test_grey_floats_find_their_range(values, expected):
    data = encoded(Image.fromarray(np.array([values], np.float32)), "TIFF")
    assert pixels(data, formats=("TIFF",))[0, :, 0].tolist() == expected


def test_16_bit_colour_keeps_its_upper_bytes():
    assert pixels(png(1, 1, 16, 2, b"\0\x10\x20\x30\x40\xff\xff"))[0, 0].tolist() == [16, 48, 255]


def test_1_bit_is_black_and_white():
    mask = np.random.default_rng(1).integers(0, 2, (9, 9)).astype(bool)
    assert np.array_equal(pixels(encoded(Image.fromarray(mask), "PNG"))[..., 1], mask * 255)


def test_cmyk_jpegs_have_their_colours():
    data = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    red, green, blue = pixels(data)[8, 8].tolist()
    assert red > 240
    assert max(green, blue) < 15


@pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG"])
def test_an_animation_gives_its_first_frame(name):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "green", "blue")]
    options = {"lossless": True} if name == "WEBP" else {}
    data = encoded(frames[0], name, save_all=True, append_images=frames[1:], **options)
    assert Image.open(io.BytesIO(data)).n_frames == 3
    assert (pixels(data) == (255, 0, 0)).all()


def test_two_thousand_frames_cost_no_more_than_one():
    frames = [Image.new("P", (64, 64), index % 200) for index in range(2000)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    started = time.process_time()
    pixels(data)
    assert time.process_time() - started < 0.2


# Colour profiles


def profile(name: str) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


def swapped_profile() -> bytes:
    """The sRGB profile with its red and green primaries exchanged: not to be mistaken for sRGB."""
    return (
        profile("sRGB")
        .replace(b"rXYZ", b"tmp!")
        .replace(b"gXYZ", b"rXYZ")
        .replace(b"tmp!", b"gXYZ")
    )


def test_without_a_profile_the_pixels_are_those_of_a_plain_decode():
    data = encoded(scene(), "JPEG")
    assert np.array_equal(pixels(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


@pytest.mark.parametrize("embedded", [profile("sRGB"), b"broken", profile("LAB"), bytes(5 * 2**20)])
def test_an_srgb_or_useless_profile_changes_no_pixel(embedded):
    data = encoded(scene(), "WEBP", lossless=True, icc_profile=embedded)
    assert Image.open(io.BytesIO(data)).info["icc_profile"] == embedded
    assert np.array_equal(pixels(data), np.asarray(scene()))


def test_another_profile_is_converted_to_srgb():
    data = encoded(Image.new("RGB", (16, 16), (230, 10, 10)), "PNG", icc_profile=swapped_profile())
    red, green, _ = pixels(data)[0, 0].tolist()
    assert green > 200
    assert red < 60


def test_a_colour_profile_on_a_grey_picture_is_ignored():
    data = encoded(scene().convert("L"), "PNG", icc_profile=swapped_profile())
    assert np.array_equal(pixels(data)[..., 0], np.asarray(scene().convert("L")))


# The size that an engine wants


@pytest.mark.parametrize("shape", [(640, 480), (37, 1201), (384, 384), (8, 8)])
@pytest.mark.parametrize("size", [(384, 384), (224, 336)])
def test_fit_equals_the_processor_bit_for_bit(shape, size):
    blip = pytest.importorskip("transformers.models.blip.image_processing_pil_blip")
    processor = blip.BlipImageProcessorPil(
        do_rescale=False, do_normalize=False, size={"height": size[0], "width": size[1]}
    )
    picture = scene(*shape)
    expected = processor(picture, return_tensors="np")["pixel_values"][0]
    ours = images.fit(picture, size)
    assert ours.dtype == np.uint8
    assert np.array_equal(ours.transpose(2, 0, 1), expected)


def test_fit_takes_the_filter_that_a_model_was_trained_with():
    gemma = pytest.importorskip("transformers.models.gemma3.image_processing_pil_gemma3")
    processor = gemma.Gemma3ImageProcessorPil(
        do_rescale=False, do_normalize=False, size={"height": 56, "width": 56}
    )
    picture = scene(201, 97)
    expected = processor(picture, return_tensors="np")["pixel_values"][0]
    ours = images.fit(picture, (56, 56), images.Resampling(processor.resample))
    assert np.array_equal(ours.transpose(2, 0, 1), expected)
    assert not np.array_equal(ours, images.fit(picture, (56, 56)))


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "LA", "RGBA"])
def test_decode_equals_what_the_processor_would_see(mode):
    transforms = pytest.importorskip("transformers.image_transforms")
    picture = scene().convert(mode)
    if mode in ("LA", "RGBA"):
        picture.putalpha(scene(seed=9).convert("L"))
    data = encoded(picture, "PNG")
    opened = Image.open(io.BytesIO(data))
    assert np.array_equal(pixels(data), transforms.convert_to_rgb(opened, return_numpy=True))


@pytest.mark.parametrize(
    ("size", "most", "expected"),
    [
        ((100, 300), (60, 60), (20, 60)),
        ((300, 100), (60, 60), (60, 20)),
        ((300, 100), (60, 10), (30, 10)),
        ((20, 30), (60, 60), (20, 30)),
        ((8, 16384), (1024, 1024), (1, 1024)),
    ],
)
def test_a_picture_that_keeps_its_shape_is_as_large_as_it_may_be(size, most, expected):
    assert images.inside(size, most) == expected
    assert images.may_be(expected, images.Within(*most))
    height, width = size
    assert images.fit(scene(width, height), images.Within(*most)).shape == (*expected, 3)


@pytest.mark.parametrize("shape", [(61, 60), (60, 61), (0, 5)])
def test_what_is_larger_than_the_most_is_not_possible(shape):
    assert not images.may_be(shape, images.Within(60, 60))
    assert not images.may_be(shape, (60, 60))


def test_a_png_has_the_same_pixels():
    made = np.asarray(scene(31, 17))
    assert np.array_equal(pixels(images.png(made)), made)
