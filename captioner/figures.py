"""What workers have done, in sums: added up where all processes see them."""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from models import Figure

SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
"""Bounds of the batches that are counted together."""
STAGES = ("decode", "wait", "encode", "generate")

Key = tuple[str, str]
"""The name of a sum, and the model."""


def batches_up_to(size: int) -> str:
    """The name of the number of batches of at most so many pictures, but of more than the next
    smaller of `SIZES`.
    """
    return f"batches_{next((bound for bound in SIZES if size <= bound), 'more')}"


def seconds_of(stage: str) -> str:
    """The name of the seconds of a stage."""
    return f"{stage}_s"


def add(session: Session, sums: Mapping[Key, float]) -> None:
    """Add to what is there. To be called last in a transaction: from here on, others may wait."""
    if not sums:
        return
    on_postgres = session.get_bind().dialect.name == "postgresql"
    rows = (postgresql.insert if on_postgres else sqlite.insert)(Figure).values(
        # In one order, so that no two wait for each other.
        [{"name": name, "model": model, "value": sums[name, model]} for name, model in sorted(sums)]
    )
    session.execute(
        rows.on_conflict_do_update(
            index_elements=["name", "model"],
            set_={"value": Figure.value + rows.excluded.value},
        )
    )


def total(session: Session) -> dict[Key, float]:
    """All of them."""
    rows = session.execute(select(Figure.name, Figure.model, Figure.value))
    return {(row.name, row.model): row.value for row in rows}
