"""From a model's source to a folder on this machine, and the exact revision that is in it."""

import errno
import hashlib
import os
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)

from captioner.errors import HubUnavailable, ModelUnavailable

TEXT_FILES = ("*.json", "*.txt", "*.model", "*.jinja")
SAFE_WEIGHTS = ("*.safetensors",)
PICKLED_WEIGHTS = ("pytorch_model*.bin",)
ASK_TIMEOUT_S = 10
PIECE_BYTES = 2**22
"""Read at once for a hash: files of weights are larger than memory."""
REFUSALS = (400, 401, 403, 404)
"""What the hub says when asking again would not help."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)
"""What the disk says: no fault of the hub."""


@dataclass(frozen=True)
class Weights:
    """A folder that can be loaded without a network."""

    folder: Path
    revision: str
    """The commit of a hub repository, or `sha256:` and the hash of a local folder's files."""


def fetch(source: str, *, revision: str) -> Weights:
    """The folder of a model; downloaded when it is a hub id and the cache does not have it.

    The hub is asked once. When it is away, the newest cached copy of that revision is taken.
    Raises `ModelUnavailable` with the cause: `HubUnavailable` where asking again may help.
    """
    if Path(source).is_dir():
        return Weights(Path(source), _hash(Path(source)))
    try:
        return _downloaded(source, revision)
    except HfHubHTTPError as error:
        if error.response.status_code in REFUSALS:
            raise ModelUnavailable(f"{source} at {revision}: {_first_line(error)}") from error
        return _cached(source, revision, error)
    except (OSError, httpx2.TransportError) as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        return _cached(source, revision, error)


def _downloaded(source: str, revision: str) -> Weights:
    info = HfApi().model_info(source, revision=revision, timeout=ASK_TIMEOUT_S)
    names = [sibling.rfilename for sibling in info.siblings or []]
    # By the name that was asked for, so that the cache can answer for it when the hub is away.
    folder = Path(snapshot_download(source, revision=revision, allow_patterns=_wanted(names)))
    return Weights(folder, folder.name)


def _wanted(names: list[str]) -> list[str]:
    """The files to download: never code, and pickled weights only where there are no others."""
    at_top = [name for name in names if "/" not in name]
    safe = _matching(at_top, SAFE_WEIGHTS)
    return [*_matching(at_top, TEXT_FILES), *(safe or _matching(at_top, PICKLED_WEIGHTS))]


def _matching(names: list[str], patterns: tuple[str, ...]) -> list[str]:
    return [name for name in names if any(fnmatch(name, pattern) for pattern in patterns)]


def _cached(source: str, revision: str, cause: Exception) -> Weights:
    for weights in (SAFE_WEIGHTS, PICKLED_WEIGHTS):
        try:
            wanted = [*TEXT_FILES, *weights]
            folder = Path(
                snapshot_download(
                    source, revision=revision, allow_patterns=wanted, local_files_only=True
                )
            )
        except LocalEntryNotFoundError:
            continue
        if _matching([path.name for path in folder.iterdir()], weights):
            return Weights(folder, folder.name)
    # Offline is what the operator asked for: no waiting changes it.
    offline = isinstance(cause, OfflineModeIsEnabled)
    raise (ModelUnavailable if offline else HubUnavailable)(
        f"{source} is neither a folder nor whole in the cache, and the hub cannot be asked "
        f"({type(cause).__name__})."
    ) from cause


def _hash(folder: Path) -> str:
    """Of all that shapes a caption: a tokenizer or a chat template as much as the weights."""
    digest = hashlib.sha256()
    names = [path.name for path in folder.iterdir() if path.is_file()]
    for name in sorted(set(_matching(names, (*TEXT_FILES, *SAFE_WEIGHTS, *PICKLED_WEIGHTS)))):
        with (folder / name).open("rb") as file:
            digest.update(f"{name}\0{os.fstat(file.fileno()).st_size}\0".encode())
            while piece := file.read(PIECE_BYTES):
                digest.update(piece)
    return f"sha256:{digest.hexdigest()}"


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
