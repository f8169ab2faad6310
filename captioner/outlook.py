"""What is to be expected of a job, as it is let in."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from captioner import admission, forecast, queries
from captioner.settings import Settings
from captioner.work import Picture
from models import Priority


@dataclass(frozen=True)
class Outlook:
    """How fast the workers of a model are, when they would be through, and what they run."""

    pace_s: float | None
    """Seconds per image."""
    expected_s: float | None
    """Seconds until all images of the job would be through."""
    version: str | None
    """Of the model: see `queries.version_served`."""

    def expected_of(self, pictures: Sequence[Picture]) -> float | None:
        """Seconds until those of the pictures are through that need a worker; `None` for none."""
        if self.expected_s is None or self.pace_s is None:
            return None
        known = sum(picture.known is not None for picture in pictures)
        refused = sum(picture.refusal is not None for picture in pictures)
        all_there = known + refused == len(pictures)
        return None if all_there else self.expected_s - known * self.pace_s


def admit(
    session: Session,
    settings: Settings,
    *,
    caller: str,
    model: str,
    images: int,
    priority: Priority,
) -> Outlook:
    """What is to be expected of a job of so many images. Raises `QueueFull` without room for it."""
    workers = queries.live_workers(session, heartbeat_s=settings.heartbeat_s)
    pace_s = forecast.paces(workers).get(model)
    admission.admit(session, settings, caller=caller, images=images, pace_s=pace_s)
    expected_s = forecast.of_new(
        session, model=model, images=images, priority=priority, pace_s=pace_s
    )
    return Outlook(pace_s, expected_s, queries.version_served(workers, model))
