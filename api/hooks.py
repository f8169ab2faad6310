"""The webhook that a submission names, as a hook."""

from collections.abc import Sequence

from captioner.errors import InvalidRequest
from captioner.work import Hook
from models import WebhookKind

KINDS = tuple(kind.value for kind in WebhookKind)


def hook(url: str | None, events: Sequence[str] | None) -> Hook | None:
    """From both fields. Raises `InvalidRequest`; whether the URL may be called is asked later."""
    if url is None:
        if events is not None:
            raise InvalidRequest("webhook_events says of what, but webhook, to whom, is missing.")
        return None
    if events is None:
        return Hook(url)
    for event in events:
        if event not in KINDS:
            raise InvalidRequest(
                f"webhook_events: {event[:64]!r} is not one of {', '.join(KINDS)}."
            )
    if not events:
        raise InvalidRequest("webhook_events is empty: leave it away for 'job.finished'.")
    return Hook(url, tuple(WebhookKind(event) for event in KINDS if event in events))


def from_form(url: str | None, events: str | None) -> Hook | None:
    """From a form, whose events stand in one field with commas between."""
    split = None if events is None else [event.strip() for event in events.split(",")]
    return hook(url, split)
