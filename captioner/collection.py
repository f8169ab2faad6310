"""Several pictures as one file, for a caption of them all.

A ZIP archive whose entries are stored as they are, under their numbers. The same pictures in the
same order are the same bytes, so that they have one hash, and are stored and remembered as one.
"""

import io
import zipfile
from collections.abc import Iterable

from captioner.errors import PictureMissing

MEDIA_TYPE = "application/zip"
LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The earliest time that ZIP knows: when a picture was packed is nobody's business."""


def packed(pictures: Iterable[bytes]) -> bytes:
    """The files of pictures as one."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for number, data in enumerate(pictures):
            entry = zipfile.ZipInfo(f"{number}", LONG_AGO)
            entry.create_system = 3  # the same on every system
            archive.writestr(entry, data)
    return file.getvalue()


def unpacked(data: bytes) -> list[bytes]:
    """The files that `packed` was given. Raises `PictureMissing` for anything else."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
            if not stored or names != [f"{number}" for number in range(len(entries))]:
                raise PictureMissing("The stored file is no collection of pictures.")
            return [archive.read(entry) for entry in entries]
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, OSError) as error:
        raise PictureMissing("The stored file of the pictures is damaged.") from error
