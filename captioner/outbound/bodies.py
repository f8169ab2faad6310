"""Reading an answer's body within a bound, counted before and after decompression."""

import zlib
from collections.abc import Iterable, Iterator

from captioner.errors import ImageTooManyBytes, UrlFetchFailed

_PLAIN = ("", "identity")
_ZLIB = ("gzip", "x-gzip", "deflate")


def read(chunks: Iterable[bytes], *, encoding: str, max_bytes: int) -> bytes:
    """The whole body, decompressed; never more than `max_bytes` of it are held.

    Raises `ImageTooManyBytes` when it is larger, compressed or not, and `UrlFetchFailed` when it
    is compressed in a way that we do not read. What the iterable raises passes through.
    """
    if encoding in _PLAIN:
        return _joined(chunks, max_bytes)
    if encoding in _ZLIB:
        return _joined(_decompressed(chunks, max_bytes), max_bytes)
    raise UrlFetchFailed(f"The answer has the content encoding {encoding[:40]!r}.")


def _joined(chunks: Iterable[bytes], max_bytes: int) -> bytes:
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > max_bytes:
            raise too_large(max_bytes)
    return bytes(body)


def _decompressed(chunks: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, whichever it is
    came = 0
    try:
        for chunk in chunks:
            came += len(chunk)
            if came > max_bytes:
                raise too_large(max_bytes)
            yield decoder.decompress(chunk, max_bytes + 1)
    except zlib.error as error:
        raise UrlFetchFailed("The answer's compression is damaged.") from error
    if not decoder.eof:
        raise UrlFetchFailed("The answer's compression ends too early.")


def too_large(max_bytes: int) -> ImageTooManyBytes:
    """The refusal of a body above the bound."""
    return ImageTooManyBytes(f"The picture has more than {max_bytes} bytes.", limit=max_bytes)
