"""How many images are in each final state, and how long they took: counted as they end.

Nothing is counted at a look: a million images are told from a few hundred rows. What a transaction
changes is gathered and written in one statement, right before its commit, as from then on others
may wait for it; and to a part of the counts that is drawn, so that they mostly do not.

Times are kept as a histogram: eight buckets for each doubling, from a millisecond to a day. So a
percentile of it is off by 9 % at most (2 ** (1/8) is 1.09), and an average is exact.
"""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, event, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from models import ImageState, JobImage, ResultTally

SHARDS = 16
CORRECTIONS = SHARDS
"""The part that `recount` writes to, and the migration that made the table."""
UNTIMED = -1
"""The bucket of what took no worker's time, or is taken back."""
LEAST_S = 0.001
PER_DOUBLING = 8
LAST = math.floor(PER_DOUBLING * math.log2(24 * 3600 / LEAST_S))
ENDED = tuple(state for state in ImageState if state.final)
GATHERED = "captioner.results"
NAMES = ("shard", "state", "bucket", "images", "seconds")


def bucket_of(seconds: float) -> int:
    """The bucket of a time: 0 for the shortest. What is beyond a day counts as a day."""
    if seconds <= LEAST_S:
        return 0
    return min(math.floor(PER_DOUBLING * math.log2(seconds / LEAST_S)), LAST)


def bounds(bucket: int) -> tuple[float, float]:
    """The seconds from which, and below which, times are counted in a bucket."""
    low, high = (LEAST_S * 2 ** (edge / PER_DOUBLING) for edge in (bucket, bucket + 1))
    return (low if bucket else 0.0), high


@dataclass
class _Gathered:
    """What one transaction changes, by state and bucket."""

    images: Counter[tuple[str, int]] = field(default_factory=Counter)
    seconds: defaultdict[tuple[str, int], float] = field(default_factory=lambda: defaultdict(float))


def note(
    session: Session, state: ImageState, images: int = 1, *, seconds: float | None = None
) -> None:
    """Count so many images more (or less) in a final state, once the transaction is committed.

    `seconds`: how long a worker took for the one.
    """
    if not images:
        return
    gathered: _Gathered | None = session.info.get(GATHERED)
    if gathered is None:
        gathered = session.info[GATHERED] = _Gathered()
        event.listen(session, "before_commit", _write)
    key = (state.value, UNTIMED if seconds is None else bucket_of(seconds))
    gathered.images[key] += images
    gathered.seconds[key] += seconds or 0.0


def _write(session: Session) -> None:
    if session.in_nested_transaction():  # called for the end of a savepoint, too
        return
    gathered: _Gathered = session.info[GATHERED]
    session.info[GATHERED] = _Gathered()
    shard = random.randrange(SHARDS)  # noqa: S311 - no secret
    # In one order, so that no two wait for each other.
    changes = sorted((key, images) for key, images in gathered.images.items() if images)
    _add(session, [(shard, *key, images, gathered.seconds[key]) for key, images in changes])


def _add(session: Session, rows: Sequence[tuple[int, str, int, int, float]]) -> None:
    if not rows:
        return
    session.connection().execute(
        _ADD[session.get_bind().dialect.name], [dict(zip(NAMES, row, strict=True)) for row in rows]
    )


def _adding(insert: Callable[[type[ResultTally]], Any]) -> Any:
    added = insert(ResultTally).values({name: bindparam(name) for name in NAMES})
    return added.on_conflict_do_update(
        index_elements=["shard", "state", "bucket"],
        set_={
            "images": ResultTally.images + added.excluded.images,
            "seconds": ResultTally.seconds + added.excluded.seconds,
        },
    )


_ADD = {"postgresql": _adding(postgresql.insert), "sqlite": _adding(sqlite.insert)}
"""Made once: to make it costs more than to run it."""


@dataclass(frozen=True)
class Times:
    """Of the images that ended in one way after a worker took them: how many, and how long."""

    buckets: Mapping[int, int]
    seconds: float

    @property
    def images(self) -> int:
        """How many were timed."""
        return sum(self.buckets.values())

    @property
    def average_s(self) -> float | None:
        """The mean; `None` where nothing was timed."""
        return self.seconds / self.images if self.images else None

    def percentile_s(self, percent: float) -> float | None:
        """The time by which so many percent were through (nearest rank), off by 9 % at most.

        Between the bounds of its bucket it is taken from where the rank stands in it.
        """
        rank = max(1, math.ceil(self.images * percent / 100))
        before = 0
        for bucket, images in sorted(self.buckets.items()):
            if images and before + images >= rank:
                low, high = bounds(bucket)
                share = (rank - before - 0.5) / images
                return low * (high / low) ** share if low else high * share
            before += images
        return None


@dataclass(frozen=True)
class Results:
    """All that is counted."""

    images: Mapping[ImageState, int]
    """How many are in each final state now."""
    times: Mapping[ImageState, Times]
    """Of all that ever ended so."""


def total(session: Session) -> Results:
    """What is counted. One statement over a few hundred rows."""
    rows = session.execute(
        select(
            ResultTally.state,
            ResultTally.bucket,
            func.sum(ResultTally.images).label("images"),
            func.sum(ResultTally.seconds).label("seconds"),
        ).group_by(ResultTally.state, ResultTally.bucket)
    ).all()

    def of(state: ImageState) -> Times:
        timed = [row for row in rows if row.state == state and row.bucket != UNTIMED]
        buckets = {row.bucket: int(row.images) for row in timed}
        return Times(buckets, float(sum(row.seconds for row in timed)))

    return Results(
        {state: sum(int(row.images) for row in rows if row.state == state) for state in ENDED},
        {state: of(state) for state in ENDED},
    )


def recount(session: Session) -> dict[ImageState, int]:
    """Count the images themselves, and correct what is told by the difference, which is returned.

    Mostly there is none. But programs of the version before count nothing while they are brought
    to this one. It reads an index from end to end: to be called now and then. Others that recount
    wait here for each other; nobody else does.
    """
    # Locked first: the statement after it sees what others that recount have corrected.
    _add(session, [(CORRECTIONS, state.value, UNTIMED, 0, 0.0) for state in sorted(ENDED)])
    there = select(func.count()).where(JobImage.state == ResultTally.state).scalar_subquery()
    rows = session.execute(
        select(ResultTally.state, there.label("there"), func.sum(ResultTally.images).label("told"))
        .where(ResultTally.state.in_(ENDED))
        .group_by(ResultTally.state)
    ).all()  # one statement sees both as they were at one moment
    wrong = {ImageState(row.state): row.there - int(row.told) for row in rows}
    found = {state: images for state, images in sorted(wrong.items()) if images}
    _add(session, [(CORRECTIONS, s.value, UNTIMED, images, 0.0) for s, images in found.items()])
    return found
