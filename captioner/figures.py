"""What workers have done, in sums: added up where all processes see them."""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from models import Figure

SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
"""Bounds of the batches that are counted together."""
STAGES = ("decode", "wait", "encode", "generate")
SECONDS = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)
"""Bounds of the times of a stage that are counted together."""
ENDINGS = ("succeeded", "failed", "canceled")
"""What becomes of a picture."""
ATTEMPTS = ("delivered", "failed", "disabled")
"""What becomes of a webhook that is sent."""
NO_MODEL = ""
"""The model of a sum that is of none."""

LONGEST = 32
"""Characters of a name."""

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


def times_up_to(stage: str, seconds: float) -> str:
    """The name of how often a stage took at most so long, but longer than the next smaller of
    `SECONDS`.
    """
    bound = next((f"{bound:g}" for bound in SECONDS if seconds <= bound), "more")
    return f"{stage}_in_{bound}"


def ended(how: str) -> str:
    """The name of the number of pictures that ended so."""
    return f"ended_{how}"


def error(code: str) -> str:
    """The name of the number of pictures that failed so."""
    return f"error_{code}"[:LONGEST]


def webhook(outcome: str) -> str:
    """The name of the number of attempts of webhooks of which this came."""
    return f"webhook_{outcome}"


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
