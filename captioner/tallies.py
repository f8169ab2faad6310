"""How often a caption was found that had been made before: counted where all processes see it."""

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from models import CacheTally

SHARDS = 16


@dataclass(frozen=True)
class Tally:
    """How many look-ups ended how. One that found no cache that answers is an error."""

    hits: int = 0
    misses: int = 0
    errors: int = 0


def add(session: Session, *tallies: Tally) -> None:
    """Count these, in the transaction that stores the jobs that they were for.

    To be called last in it: from here on, others may wait for its end.
    """
    tally = Tally(*map(sum, zip(*map(astuple, tallies), strict=True)))
    if not any(astuple(tally)):
        return
    shard = random.randrange(SHARDS)  # noqa: S311 - no secret
    session.connection().execute(
        _ADD[session.get_bind().dialect.name], {"shard": shard, **asdict(tally)}
    )


def _adding(insert: Callable[[type[CacheTally]], Any]) -> Any:
    row = insert(CacheTally)
    counts = ("hits", "misses", "errors")
    return row.values({name: bindparam(name) for name in ("shard", *counts)}).on_conflict_do_update(
        index_elements=["shard"],
        set_={name: getattr(CacheTally, name) + row.excluded[name] for name in counts},
    )


_ADD = {"postgresql": _adding(postgresql.insert), "sqlite": _adding(sqlite.insert)}
"""Made once: to make it costs more than to run it."""


def total(session: Session) -> Tally:
    """All that were counted since the tables were made."""
    sums: Sequence[int | None] = session.execute(
        select(func.sum(CacheTally.hits), func.sum(CacheTally.misses), func.sum(CacheTally.errors))
    ).one()
    return Tally(*(int(each or 0) for each in sums))
