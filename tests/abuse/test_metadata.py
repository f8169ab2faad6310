"""Row 14: what a file says beside its pixels takes neither time nor memory, whatever it says."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from captioner import details, errors, images
from tests.abuse.specimens import compressed, crumbs, drawn, metadata
from tests.abuse.watch import MIB, MOST_MIB, MOST_S, peak_mib
from tests.pictures import encoded
from tests.unit.sample_images import LIMITS, pixels, scene

CRUMBS = dict(crumbs())
METADATA = dict(metadata())
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="3"/></x:xmpmeta>'


@contextmanager
def within_bounds() -> Iterator[None]:
    """Little of a processor's time, and little memory at any moment."""
    this = psutil.Process()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins here
    before, begun = this.memory_info().rss / MIB, time.process_time()
    yield
    assert time.process_time() - begun <= MOST_S
    assert peak_mib(this.pid) - before <= MOST_MIB


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", METADATA)
@pytest.mark.parametrize("read", [images.inspect, details.read])
def test_row_14_metadata_costs_little(name: str, read) -> None:
    with within_bounds(), suppress(errors.ImageError):
        found = read(METADATA[name], LIMITS)
        assert (found.width, found.height) == (8, 8)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", METADATA)
def test_row_14_no_metadata_comes_with_the_pixels(name: str) -> None:
    with suppress(errors.ImageError):
        assert images.decode(METADATA[name], LIMITS).info == {}


@pytest.mark.parametrize("name", CRUMBS)
@pytest.mark.parametrize("read", [images.inspect, details.read])
def test_row_14_a_header_of_millions_of_parts_is_refused(name: str, read) -> None:
    with (
        within_bounds(),
        pytest.raises(errors.ImageUndecodable, match="header has too many parts"),
    ):
        read(CRUMBS[name], LIMITS)


def test_row_14_a_header_of_thousands_of_parts_is_read() -> None:
    made = drawn(*[(b"abcd", b"x" * 100)] * 10_000)
    assert images.inspect(made, LIMITS).width == 8


def test_row_14_the_texts_of_a_png_are_passed_over() -> None:
    data = drawn(compressed(b"a", b"k"), (b"tEXt", b"Title\0a"), (b"zTXt", b"Author\0\0bad"))
    with images.opened(data, LIMITS) as image:
        assert not {"k", "Title", "Author"} & set(image.info)


def test_row_14_a_text_that_says_which_way_is_up_is_read() -> None:
    upright = np.asarray(scene())
    whole = encoded(Image.fromarray(upright[::-1, ::-1]), "PNG")
    (text,) = [drawn(compressed(XMP, b"XML:com.adobe.xmp"))]
    begin, end = text.index(b"iTXt") - 4, text.index(b"IDAT") - 4
    turned = whole[:33] + text[begin:end] + whole[33:]
    assert np.array_equal(pixels(turned), upright)
