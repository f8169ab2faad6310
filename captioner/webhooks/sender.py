"""One attempt of one delivery: claim, sign, POST, note what came of it."""

import logging
import time
from collections.abc import Callable
from uuid import UUID

from captioner.database import Database
from captioner.errors import CaptionerError
from captioner.outbound.client import Outbound
from captioner.settings import Settings
from captioner.webhooks import settling, signing
from captioner.webhooks.claiming import Attempt, claim
from captioner.webhooks.schedule import wait_s
from captioner.webhooks.settling import Reply
from models import WebhookKind

log = logging.getLogger(__name__)

GONE = 410


def nothing_more(_: object) -> None:
    """What follows a delivery, or an attempt, when nothing was said to follow."""


class Sender:
    """Sends settling. May be used by many threads at once.

    `when_delivered` is called with the id of a job once its receiver has taken `job.finished`, and
    `when_sent` after each attempt, with what came of it (`captioner.figures.ATTEMPTS`).
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        outbound: Outbound,
        *,
        when_delivered: Callable[[UUID], None] = nothing_more,
        when_sent: Callable[[str], None] = nothing_more,
    ) -> None:
        self._settings = settings
        self._database = database
        self._outbound = outbound
        self._when_delivered = when_delivered
        self._when_sent = when_sent
        self._lease_s = 2 * settings.webhook_timeout_s + 1

    def send(self, delivery_id: UUID) -> bool:
        """Make one attempt, if it is due and nobody else is at it. Returns whether it was made.

        No database session is open during the POST. A failure of the receiver is noted, never
        raised. Raises `DatabaseUnavailable`; then the attempt is made again, once its lease is out.
        """
        with self._database.write() as session:
            attempt = claim(session, delivery_id, lease_s=self._lease_s)
        if attempt is None:
            return False
        reply = self._post(attempt)
        news = self._note(attempt, reply)
        self._when_sent(_outcome(reply))
        log.info(
            "A webhook was sent: %s.",
            reply.error or f"status {reply.status}",
            extra={
                "action": "webhook",
                "job_id": str(attempt.job_id),
                "delivery_id": str(delivery_id),
            },
        )
        if news and _accepted(reply) and attempt.kind is WebhookKind.JOB_FINISHED:
            self._when_delivered(attempt.job_id)
        return True

    def _post(self, attempt: Attempt) -> Reply:
        began = time.monotonic()
        status, retry_after, error = None, "", None
        try:
            answer = self._outbound.post(
                attempt.url,
                body=attempt.body.encode(),
                headers=self._signed(attempt),
                timeout_s=self._settings.webhook_timeout_s,
            )
            status, retry_after = answer.status, answer.retry_after
            error = _complaint(status)
        except CaptionerError as refused:
            error = f"{refused.code}: {refused.detail}"
        except Exception as mistake:
            # A failure like any other: else it would be made again with each lease, for ever.
            log.exception("A webhook could not be sent.", extra={"action": "webhook_failed"})
            error = f"internal_error: {type(mistake).__name__}"
        return Reply(status, error, (time.monotonic() - began) * 1000, retry_after)

    def _signed(self, attempt: Attempt) -> dict[str, str]:
        return signing.headers(
            signing.configured(self._settings),
            webhook_id=str(attempt.delivery_id),
            at=attempt.at,
            body=attempt.body,
        )

    def _note(self, attempt: Attempt, reply: Reply) -> bool:
        with self._database.write() as session:
            if _accepted(reply):
                return settling.delivered(session, attempt, reply)
            if reply.status == GONE:
                return settling.disabled(session, attempt, reply)
            wait = wait_s(
                attempt.failures + 1,
                self._settings.webhook_schedule_s,
                retry_after=reply.retry_after,
            )
            return settling.failed(session, attempt, reply, wait_s=wait)


def _accepted(reply: Reply) -> bool:
    return reply.error is None


def _outcome(reply: Reply) -> str:
    if _accepted(reply):
        return "delivered"
    return "disabled" if reply.status == GONE else "failed"


def _complaint(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    if status == GONE:
        return "The receiver wants no more webhooks (410)."
    if 300 <= status < 400:
        return f"The receiver answered {status}; redirects are not followed."
    return f"The receiver answered {status}."
