"""The place for pixels in shared memory, where that is full."""

import errno
import os

import pytest

from tests.unit.decoding import segments
from worker.pixel_slot import PixelSlot


def test_each_picture_is_told_while_memory_is_full_and_none_is_written_into_pages_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    slot = PixelSlot()
    slot.reserve((4, 4))
    there = segments(os.getpid())
    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full)
        for _ in range(3):
            with pytest.raises(OSError, match="No space"):
                slot.reserve((64, 64))
            assert len(segments(os.getpid())) == len(there) - 1
    assert slot.reserve((64, 64)) in segments(os.getpid())
    assert slot.read((64, 64)).sum() == 0
    slot.free()
