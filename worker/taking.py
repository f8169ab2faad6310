"""Taking images for this worker, by its settings."""

from collections.abc import Collection, Sequence
from uuid import UUID

from captioner import jobs
from captioner.work import Claim
from worker.flow import Parts


def take(
    parts: Parts,
    model: str,
    *,
    limit: int,
    again: tuple[UUID, Sequence[int]] | None = None,
    to_fetch: bool = False,
    hurried: bool = False,
    not_of: Collection[UUID] = (),
) -> list[Claim]:
    """Claim images of the model as `jobs.claim` does, in a transaction of its own."""
    settings = parts.settings
    with parts.database.write() as session:
        return jobs.claim(
            session,
            model=model,
            limit=limit,
            worker=parts.worker,
            lease_s=settings.lease_s,
            max_attempts=settings.max_attempts,
            retry_s=settings.retry_s,
            again=again,
            to_fetch=to_fetch,
            hurried=hurried,
            not_of=not_of,
        )
