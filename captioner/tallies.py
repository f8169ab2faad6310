"""How often a caption was found that had been made before: counted where all processes see it."""

import random
from collections.abc import Sequence
from dataclasses import astuple, dataclass

from sqlalchemy import func, select
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
    on_postgres = session.get_bind().dialect.name == "postgresql"
    rows = (postgresql.insert if on_postgres else sqlite.insert)(CacheTally).values(
        shard=random.randrange(SHARDS),  # noqa: S311 - no secret
        hits=tally.hits,
        misses=tally.misses,
        errors=tally.errors,
    )
    session.execute(
        rows.on_conflict_do_update(
            index_elements=["shard"],
            set_={
                "hits": CacheTally.hits + rows.excluded.hits,
                "misses": CacheTally.misses + rows.excluded.misses,
                "errors": CacheTally.errors + rows.excluded.errors,
            },
        )
    )


def total(session: Session) -> Tally:
    """All that were counted since the tables were made."""
    sums: Sequence[int | None] = session.execute(
        select(func.sum(CacheTally.hits), func.sum(CacheTally.misses), func.sum(CacheTally.errors))
    ).one()
    return Tally(*(int(each or 0) for each in sums))
