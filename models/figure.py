"""What workers have done since the tables were made, in sums."""

from sqlalchemy import Double, String
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class Figure(Base):
    """One sum over all workers that ever were: of one kind, for one model."""

    __tablename__ = "figures"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    model: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[float] = mapped_column(Double)
