"""The headers that prove who sent a webhook, and when."""

from collections.abc import Iterable
from datetime import datetime

from standardwebhooks import Webhook

from captioner.errors import WebhooksUnconfigured
from captioner.settings import Settings


def configured(settings: Settings) -> list[str]:
    """The secrets in force, newest first. Raises `WebhooksUnconfigured` when there is none."""
    if not settings.webhook_secrets:
        raise WebhooksUnconfigured(
            "This server has no secret to sign webhooks with. Operator: make one with "
            "'captioner webhooks secret' and set it as CAPTIONER_WEBHOOK_SECRETS."
        )
    return [secret.get_secret_value() for secret in settings.webhook_secrets]


def headers(
    signed_with: Iterable[str], *, webhook_id: str, at: datetime, body: str
) -> dict[str, str]:
    """The headers of one attempt. One signature for each secret, in their order."""
    signatures = [Webhook(secret).sign(webhook_id, at, body) for secret in signed_with]
    return {
        "Content-Type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
