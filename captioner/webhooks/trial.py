"""A message that tells nothing, to see whether a receiver takes what we send."""

import json
from datetime import UTC, datetime

from uuid_utils.compat import uuid7

from captioner.clock import written
from captioner.outbound.client import Answer, Outbound
from captioner.settings import Settings
from captioner.webhooks import signing


def send_test(url: str, settings: Settings, outbound: Outbound) -> Answer:
    """Send it once, signed as any other. Raises `WebhooksUnconfigured` and what `post` raises."""
    at, webhook_id = datetime.now(UTC), str(uuid7())
    said = {"type": "webhook.test", "timestamp": written(at), "data": {}}
    body = json.dumps(said, separators=(",", ":"))
    return outbound.post(
        url,
        body=body.encode(),
        headers=signing.headers(
            signing.configured(settings), webhook_id=webhook_id, at=at, body=body
        ),
        timeout_s=settings.webhook_timeout_s,
    )
