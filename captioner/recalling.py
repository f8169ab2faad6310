"""Which of a submission's pictures have their captions already."""

from collections.abc import Sequence
from dataclasses import replace

from captioner.cache import Cache, Place
from captioner.errors import CacheUnavailable
from captioner.options import Options
from captioner.tallies import Tally
from captioner.work import Picture


def recalled(
    cache: Cache, pictures: Sequence[Picture], *, model: str, version: str | None, options: Options
) -> tuple[list[Picture], Tally]:
    """The same pictures, each `known` whose caption is remembered, and how the look-ups ended.

    `version` is what workers run now; where that is not known, nothing is. Asks once for all, and
    never raises: without the cache nothing is known.
    """
    same = list(pictures)
    stored = {n: picture.blob_sha256 for n, picture in enumerate(pictures) if picture.blob_sha256}
    if not cache.on or not options.repeatable:
        return same, Tally()
    if version is None:
        return same, Tally(misses=len(stored))
    places = [
        Place.of(sha256, model=model, version=version, options=options)
        for sha256 in stored.values()
    ]
    try:
        found = dict(zip(stored, cache.recall(places), strict=True))
    except CacheUnavailable:
        return same, Tally(errors=len(stored))
    hits = sum(caption is not None for caption in found.values())
    known = [replace(picture, known=found.get(n)) for n, picture in enumerate(pictures)]
    return known, Tally(hits, len(stored) - hits)
