"""The transactional outbox: what is to be told is written with the change that it tells of."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from captioner.clock import now
from captioner.webhooks.payload import body_of
from models import DeliveryState, Job, WebhookDelivery, WebhookKind


def note(session: Session, job_id: UUID, kind: WebhookKind) -> None:
    """Write down that the job's receiver is to be told, if it has one that asked for this.

    The caller has changed the job in this transaction already. Once for each kind and run of a
    job, however often it is called.
    """
    job = session.execute(
        select(Job.run, Job.webhook_url, Job.webhook_events).where(Job.id == job_id)
    ).one()
    if job.webhook_url is None or kind.value not in (job.webhook_events or "").split(","):
        return
    session.execute(
        _insert(session)
        .values(
            id=uuid7(),
            job_id=job_id,
            kind=kind,
            run=job.run,
            url=job.webhook_url,
            body=body_of(session, job_id, kind),
            state=DeliveryState.PENDING,
            attempts=0,
            failures=0,
            next_at=now(),
            created_at=now(),
        )
        .on_conflict_do_nothing()
    )


def _insert(session: Session) -> postgresql.Insert | sqlite.Insert:
    on_postgres = session.get_bind().dialect.name == "postgresql"
    return (postgresql.insert if on_postgres else sqlite.insert)(WebhookDelivery)
