"""Pictures of a request as they arrived, and what was found when they were looked at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from captioner.collection import MEDIA_TYPE, packed
from captioner.errors import AllImagesRefused, CaptionerError, ImageError, InvalidOption
from captioner.pictures import Kept

MAX_FILE_NAME_CHARS = 255


@dataclass(frozen=True)
class Upload:
    """One picture as it arrived. `read` gives its bytes, or raises the `ImageError` it deserves.

    It gives them as often as it is called. Reading is left to intake, so that one picture is in
    memory at a time.
    """

    read: Callable[[], bytes]
    file_name: str | None = None


@dataclass(frozen=True)
class Link:
    """One picture that a worker is to fetch: nothing is called, and no name looked up, here."""

    url: str
    file_name: str | None = None


Taken = tuple[Upload | Link, Kept | Link | ImageError]
"""A picture that was looked at: kept, to be fetched, or refused."""


def without_past(error: ImageError) -> ImageError:
    """The error, without what it came of: that holds the picture as long as the error is kept."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def collected(taken: Sequence[Taken], store: Callable[[bytes], str]) -> Taken:
    """All pictures as one, for a caption of them all. `store` gives the hash of what it is given.

    Raises the error of the first that is refused, as the caption would be of the others alone, and
    `InvalidOption` for those that are not here yet.
    """
    if any(isinstance(item, Link) for _, item in taken):
        raise InvalidOption(
            "collective: send the pictures themselves; those by URL get captions of their own.",
            option="collective",
        )
    refusals = [item for _, item in taken if isinstance(item, ImageError)]
    if refusals:
        refusals[0].extra["errors"] = _errors(taken)
        raise refusals[0]
    kept = [item for _, item in taken if isinstance(item, Kept)]

    def read() -> bytes:
        return packed(item.read() for item in kept)

    data = read()
    names = ", ".join(upload.file_name or "" for upload, _ in taken).strip(", ")
    info = replace(kept[0].info, media_type=MEDIA_TYPE, bytes=len(data))
    one = Upload(read, names[:MAX_FILE_NAME_CHARS] or None)
    return one, Kept(store(data), info, read)


def refuse_if_none_left(taken: Sequence[Taken]) -> None:
    """Raise what says why no picture can be captioned, if none can: `errors` names each."""
    refusals = [item for _, item in taken if isinstance(item, ImageError)]
    if len(refusals) < len(taken):
        return
    errors = _errors(taken)
    if len({item.code for item in refusals}) == 1:
        refusals[0].extra["errors"] = errors
        raise refusals[0]
    raise AllImagesRefused(
        f"None of the {len(taken)} pictures can be captioned; 'errors' says why for each.",
        errors=errors,
    )


def _errors(taken: Sequence[Taken]) -> list[dict[str, object]]:
    return [
        {"index": n, "file_name": upload.file_name, "code": item.code, "detail": item.detail}
        for n, (upload, item) in enumerate(taken)
        if isinstance(item, CaptionerError)
    ]
