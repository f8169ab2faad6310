"""Many new files are brought to the disk with their whole file system; a few, one by one."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from captioner.blob_files import MANY, Writing
from captioner.volumes import KINDS, SLOW_S, Opened, Volume, _is_able, _kind


class Watched(Opened):
    """A volume that notes which names there are each time it is brought to the disk."""

    def __init__(self, folder: Path, *, fails: bool = False) -> None:
        self._folder = folder
        self._fails = fails
        self.seen: list[list[str]] = []

    def sync(self) -> None:
        self.seen.append([path.name for path in self._folder.iterdir()])
        if self._fails:
            raise OSError(5, "Input/output error")


def written(folder: Path, volume: Opened, *, files: int) -> Writing:
    with ThreadPoolExecutor(1) as threads:
        writing = Writing(lambda: threads, volume)
        for number in range(files):
            writing.add(f"{folder}/{number}", b"picture")
        try:
            writing.end()
        finally:
            writing.drop()
    return writing


def test_many_files_are_on_the_disk_before_they_have_names_and_their_names_after(
    tmp_path: Path,
) -> None:
    volume = Watched(tmp_path)
    written(tmp_path, volume, files=MANY)
    parts, names = volume.seen
    assert len(parts) == MANY
    assert all(part.endswith(".part") for part in parts)
    assert sorted(names) == [str(number) for number in range(MANY)]


def test_a_few_files_do_not_wait_for_what_others_write(tmp_path: Path) -> None:
    volume = Watched(tmp_path)
    written(tmp_path, volume, files=MANY - 1)
    assert volume.seen == []
    assert len(list(tmp_path.iterdir())) == MANY - 1


def test_what_a_volume_could_not_write_does_not_appear(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Input/output"):
        written(tmp_path, Watched(tmp_path, fails=True), files=MANY)
    assert list(tmp_path.iterdir()) == []


def test_a_volume_that_took_long_is_left_alone_for_a_while(tmp_path: Path) -> None:
    volume = Volume(str(tmp_path))
    with volume.opened() as opened:
        assert (opened is not None) == _is_able(str(tmp_path))
        if opened is not None:
            opened.sync()
    volume.took(2 * SLOW_S)
    with volume.opened() as opened:
        assert opened is None


def test_a_folder_that_is_not_there_yet_has_no_volume(tmp_path: Path) -> None:
    with Volume(str(tmp_path / "later")).opened() as opened:
        assert opened is None


def test_a_file_system_in_memory_is_not_one_of_them() -> None:
    assert _kind(Path("/proc").stat().st_dev) not in KINDS
    assert not _is_able("/proc")


def test_a_call_that_fails_says_why(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    os.close(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        Opened(Volume(str(tmp_path)), descriptor).sync()
