"""Captions that were made are remembered for whoever sends the same picture again."""

import logging
from collections.abc import Iterable

from captioner import pictures
from captioner.cache import Cache, Place
from captioner.database import Database
from captioner.errors import CacheUnavailable, DatabaseUnavailable
from captioner.work import Outcome, Remembered

log = logging.getLogger(__name__)


def remember(cache: Cache, outcomes: Iterable[Outcome]) -> set[str]:
    """Keep the captions that may be kept, and are always the same. Returns their pictures.

    Never raises: without the cache the next one is captioned again.
    """
    if not cache.on:
        return set()
    captions = dict(filter(None, map(_kept, outcomes)))
    try:
        if captions:
            cache.remember(captions)
    except CacheUnavailable:
        return set()
    return {place.picture for place in captions}


def forget_deleted(cache: Cache, database: Database, remembered: set[str]) -> None:
    """Forget those of the pictures that no job has any more: deleted while they were captioned.

    To be called after `remember`. A deletion that comes later forgets them itself. Never raises.
    """
    if not remembered:
        return
    try:
        with database.read() as session:
            gone = remembered - pictures.needed(session, remembered)
        cache.forget(gone)
    except (CacheUnavailable, DatabaseUnavailable) as error:
        log.warning("Captions may stay remembered for now: %s", error.detail)


def _kept(outcome: Outcome) -> tuple[Place, Remembered] | None:
    claim = outcome.claim
    if outcome.error is not None or outcome.caption is None or outcome.version is None:
        return None
    if claim.blob_sha256 is None or not claim.stored or not claim.options.repeatable:
        return None
    place = Place.of(
        claim.blob_sha256, model=claim.model, version=outcome.version, options=claim.options
    )
    return place, Remembered(
        outcome.caption,
        outcome.score,
        outcome.others,
        outcome.model_revision,
        retried_for=outcome.retried_for,
        tags=outcome.tags,
        flagged=outcome.flagged,
    )
