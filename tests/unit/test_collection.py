"""Several pictures are stored, and decoded, as one."""

import threading
import zipfile
from concurrent.futures import Future
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioner.collection import packed, unpacked
from captioner.errors import ImageTruncated, PictureMissing, ShuttingDown
from worker.decode_lane import DecodedImage
from worker.gathered import gathered


@given(st.lists(st.binary(max_size=300), max_size=16))
def test_what_was_packed_comes_out_in_its_order(pictures: list[bytes]) -> None:
    data = packed(pictures)
    assert unpacked(data) == pictures
    assert packed(pictures) == data  # one hash


@given(st.binary(max_size=300))
def test_nothing_else_comes_out_of_other_files(data: bytes) -> None:
    with pytest.raises(PictureMissing):
        unpacked(data)


@pytest.mark.parametrize("damage", [1, 40, 200, -40])
def test_a_damaged_file_is_told_as_one(damage: int) -> None:
    data = bytearray(packed([b"x" * 300, b"y" * 300]))
    data[damage] ^= 0xFF
    try:
        assert unpacked(bytes(data)) == [b"x" * 300, b"y" * 300]  # a byte that says nothing
    except PictureMissing:
        return


@pytest.mark.parametrize(
    ("name", "method"), [("0", zipfile.ZIP_DEFLATED), ("a", zipfile.ZIP_STORED)]
)
def test_an_archive_of_somebody_else_is_none_of_ours(name: str, method: int) -> None:
    file = BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(name, b"\0" * 10_000)
    with pytest.raises(PictureMissing):
        unpacked(file.getvalue())


def futures(count: int) -> list["Future[DecodedImage]"]:
    return [Future() for _ in range(count)]


def image(level: int) -> DecodedImage:
    return DecodedImage(np.full((2, 3, 3), level, np.uint8), float(level))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_all_are_there_when_the_last_is(order: tuple[int, ...]) -> None:
    parts = futures(3)
    whole = gathered(parts)
    for place in order:
        assert not whole.done()
        parts[place].set_result(image(place))
    assert whole.result().pixels.shape == (3, 2, 3, 3)
    assert whole.result().pixels[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert whole.result().decode_ms == 3


def test_the_first_that_fails_is_told_by_its_number_and_stops_the_others() -> None:
    parts = futures(3)
    whole = gathered(parts)
    parts[1].set_exception(ImageTruncated("It is cut off."))
    with pytest.raises(ImageTruncated, match="Picture 2: It is cut off"):
        whole.result(timeout=0)
    assert parts[0].cancelled()
    assert parts[2].cancelled()


def test_one_that_is_done_after_another_has_failed_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    parts = futures(2)
    assert parts[0].set_running_or_notify_cancel()
    whole = gathered(parts)
    parts[1].set_exception(ImageTruncated("It is cut off."))
    parts[0].set_result(image(0))
    assert isinstance(whole.exception(timeout=0), ImageTruncated)
    assert not caplog.records


def test_pictures_of_unlike_sizes_do_not_wait_for_ever() -> None:
    parts = futures(2)
    whole = gathered(parts)
    parts[0].set_result(image(1))
    parts[1].set_result(DecodedImage(np.zeros((5, 5, 3), np.uint8), 1.0))
    with pytest.raises(ValueError, match="shape"):
        whole.result(timeout=0)


def test_pictures_that_keep_their_shapes_are_gathered_as_they_are() -> None:
    parts = futures(3)
    whole = gathered(parts, alike=False)
    parts[2].set_result(image(2))
    parts[0].set_result(image(0))
    parts[1].set_result(DecodedImage(np.ones((5, 4, 3), np.uint8), 1.0))
    pixels = whole.result(timeout=0).pixels
    assert [one.shape for one in pixels] == [(2, 3, 3), (5, 4, 3), (2, 3, 3)]
    assert pixels[2][0, 0, 0] == 2


def test_a_failure_of_the_machine_stays_what_it_is() -> None:
    parts = futures(2)
    whole = gathered(parts)
    parts[0].set_exception(ShuttingDown("It leaves."))
    with pytest.raises(ShuttingDown):
        whole.result(timeout=0)


def test_who_leaves_takes_those_along_that_nobody_has_begun() -> None:
    parts = futures(2)
    assert parts[0].set_running_or_notify_cancel()
    whole = gathered(parts)
    assert whole.cancel()
    assert parts[1].cancelled()
    parts[0].set_result(image(1))
    assert whole.cancelled()


def test_threads_that_end_at_once_give_one_result() -> None:
    for _ in range(200):
        parts = futures(8)
        whole = gathered(parts)
        threads = [
            threading.Thread(target=part.set_result, args=[image(n)])
            for n, part in enumerate(parts)
        ]
        for thread in threads:
            thread.start()
        assert len(whole.result(timeout=10).pixels) == 8
        for thread in threads:
            thread.join()
