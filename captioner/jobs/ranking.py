"""In which order images are worked on: the one with the least rank first.

As in start-time fair queueing (Goyal, Vin and Cheng, 1996), the rank is a time: the creation of the
job, and for its later images as much later as the earlier ones take with a share of the machine. So
a job of thousands does not hold up a picture that is sent after it. A priority is a head start of
an hour: the low ones wait, but not for ever.
"""

from datetime import datetime, timedelta

from models import Priority

HEAD_START_S = {Priority.LOW: -3600.0, Priority.NORMAL: 0.0, Priority.HIGH: 3600.0}
"""Seconds by which a priority counts as created earlier."""
ROUND = 16
"""Images of a job that keep together when another job comes between."""
SHARE = 0.25
"""Part of the machine that a job can count on while smaller ones keep coming. What is sent later
goes first as long as the job has had that; when it is alone, it has all."""
FEW = 4
"""Images of a job that is small: somebody may be waiting for it."""


def rank(position: int, *, created: datetime, priority: Priority, pace_s: float) -> float:
    """The rank of a job's image: seconds on the database's clock."""
    ahead = position // ROUND * ROUND
    return created.timestamp() + ahead * pace_s / SHARE - HEAD_START_S[priority]


def as_if_created(created: datetime, priority: Priority, *, as_priority: Priority) -> datetime:
    """When a job of another priority would have to be created, to rank the same."""
    return created + timedelta(seconds=HEAD_START_S[as_priority] - HEAD_START_S[priority])
