"""How often captions were found that had been made before."""

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class CacheTally(Base):
    """A part of the counts of look-ups, since the tables were made. Their sum is what is told.

    In several rows, so that requests that are stored at the same time do not wait for each other.
    """

    __tablename__ = "cache_tallies"

    shard: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hits: Mapped[int] = mapped_column(BigInteger)
    misses: Mapped[int] = mapped_column(BigInteger)
    errors: Mapped[int] = mapped_column(BigInteger)
    """Misses because the cache did not answer; not among `misses`."""
