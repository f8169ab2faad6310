"""Jobs that end, and what sends their webhooks: without a worker, on the real database."""

from collections.abc import Callable
from uuid import UUID

from sqlalchemy import update

from captioner import jobs
from captioner.clock import now_plus
from captioner.database import Database
from captioner.outbound.client import Outbound
from captioner.settings import Settings
from captioner.webhooks import due, log
from captioner.webhooks.log import Logged
from captioner.webhooks.sender import Sender
from captioner.work import Outcome
from models import DeliveryState, WebhookDelivery
from tests.integration import rows
from tests.integration.conftest import settings_of
from tests.receivers import SECRET
from tests.stacks import Stack

ALLOWED = ("127.0.0.1:*",)


def webhook_settings(stack: Stack, **changes: object) -> Settings:
    values: dict[str, object] = {
        "webhook_secrets": (SECRET,),
        "webhook_schedule_s": (0.05,) * 10,
        "webhook_timeout_s": 2,
        "outbound_allow": ALLOWED,
    }
    return settings_of(stack, **(values | changes))


def sender_of(settings: Settings, database: Database, **options: object) -> Sender:
    return Sender(settings, database, Outbound.from_settings(settings), **options)


def end(database: Database, job_id: UUID, *, caption: str = "a red star") -> None:
    """Claim the first image of the job and give it a caption."""
    with database.write() as session:
        claims = rows.claim(session, job_id, 0)
    with database.write() as session:
        jobs.finish(session, [Outcome(claim, caption=caption) for claim in claims])


def logged(database: Database, job_id: UUID) -> list[Logged]:
    with database.read() as session:
        return log.of_job(session, job_id)


def only(database: Database, job_id: UUID) -> Logged:
    (found,) = logged(database, job_id)
    return found


def come_due(database: Database, job_id: UUID) -> None:
    """As if the wait were over, and any lease too."""
    with database.write() as session:
        session.execute(
            update(WebhookDelivery)
            .where(WebhookDelivery.job_id == job_id)
            .values(next_at=now_plus(-1), lease_until=None)
        )


def send(database: Database, sender: Sender, job_id: UUID) -> list[bool]:
    """Make one attempt of each delivery of the job, due or not. Says which were made."""
    return [sender.send(each.delivery.id) for each in logged(database, job_id)]


def send_on(database: Database, sender: Sender, job_id: UUID, *, until: Callable[[], bool]) -> None:
    """Attempt after attempt, as the reconciler would have it, until it holds."""
    for _ in range(100):
        if until():
            return
        come_due(database, job_id)
        send(database, sender, job_id)
    raise AssertionError("100 attempts were not enough")


def is_over(database: Database, job_id: UUID) -> bool:
    return all(each.delivery.state != DeliveryState.PENDING for each in logged(database, job_id))


def taken_due(database: Database) -> list[UUID]:
    with database.write() as session:
        return due.take_due(session, limit=10_000)
