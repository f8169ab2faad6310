"""Pictures still to be captioned: where they are, and how their bytes are read.

A picture is opened only when its request is sent, so that a list of a million paths stays small.
"""

import base64
import binascii
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAX_REQUEST_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a picture has no caption: a stable code, and a sentence."""

    code: str
    detail: str


class UnreadableError(Exception):
    """This picture cannot be read; its neighbours go on."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.failure = Failure(code, detail)


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture that was asked for: a path, or base64 text that came on stdin."""

    name: str
    """What people read."""
    path: Path | None = None
    imgb64: str | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)
    """What its results repeat: the caller's `id`, or the `line` that could not be used."""
    failure: Failure | None = None
    """Set when it is known already that there is no picture."""

    @property
    def size(self) -> int:
        """Bytes that it will add to a request; 0 when the file cannot be looked at."""
        if self.imgb64 is not None:
            return len(self.imgb64) * 3 // 4
        try:
            return self.path.stat().st_size if self.path else 0
        except (OSError, ValueError):
            return 0

    @property
    def file_name(self) -> str:
        """The name that the server sees: never the folders above it."""
        name = self.path.name if self.path else "picture"
        return name.encode("utf-8", "replace").decode("utf-8")

    def read(self) -> bytes:
        """The bytes. Raises UnreadableError with a reason."""
        if self.failure:
            raise UnreadableError(self.failure.code, self.failure.detail)
        if self.imgb64 is not None:
            return _decoded(self.imgb64)
        if self.path is None:
            raise UnreadableError("file_not_found", "There is no picture here.")
        return _file_bytes(self.path)


def _decoded(text: str) -> bytes:
    payload = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return base64.b64decode("".join(payload.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnreadableError("invalid_base64", f"imgb64 is not base64: {error}") from error


def _file_bytes(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError("file_unreadable", "This is not a file.")
        if status.st_size > MAX_REQUEST_BYTES:
            limit = f"{MAX_REQUEST_BYTES // 1_000_000} MB"
            raise UnreadableError("file_too_large", f"The file is larger than {limit}.")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UnreadableError("file_not_found", "There is no such file.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableError("file_unreadable", f"The file cannot be read: {reason}.") from error
