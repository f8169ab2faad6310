"""How many images have ended, how, and how long it took."""

from sqlalchemy import BigInteger, Double, String
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class ResultTally(Base):
    """A part of two counts. Sums over all parts are what is told.

    Over all buckets of a state: the images that are in it now. Over one bucket from 0 on: the
    images that have ended so, ever, after a time within the bucket's bounds. Bucket -1 is for what
    took no worker's time, and for what is taken back, as when a job is deleted: there `images` may
    be negative.

    In several parts, so that workers that store results at the same time do not wait for each
    other.
    """

    __tablename__ = "result_tallies"

    shard: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    state: Mapped[str] = mapped_column(String(16), primary_key=True)
    bucket: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    images: Mapped[int] = mapped_column(BigInteger)
    seconds: Mapped[float] = mapped_column(Double)
    """Sum of the times."""
