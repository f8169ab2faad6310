"""The log of webhooks, replays, and what a receiver gets."""

from api.deliveries import DeliveryView, WebhookBody
from api.openapi.parts import Json, answer, job_id, problems, ref
from models import WebhookKind


def paths() -> Json:
    """What was sent to a job's receiver, and sending it again."""
    return {
        "/captionImage/{id}/webhooks": {"get": _log()},
        "/captionImage/{id}/webhooks/{delivery}/replay": {"post": _replay()},
    }


def webhooks() -> Json:
    """What a receiver gets, by its type."""
    return {kind.value: {"post": _received(kind)} for kind in WebhookKind}


def _log() -> Json:
    return {
        "operationId": "listWebhooks",
        "summary": "The job's webhooks and their attempts",
        "parameters": [job_id()],
        "responses": {
            "200": answer("Oldest first.", {"type": "array", "items": ref(DeliveryView)}),
            **_problems("There is no such job."),
        },
    }


def _replay() -> Json:
    identifier = {"type": "string", "format": "uuid"}
    delivery = {"name": "delivery", "in": "path", "required": True, "schema": identifier}
    return {
        "operationId": "replayWebhook",
        "summary": "Send a webhook again, now, under the same id",
        "parameters": [job_id(), delivery],
        "responses": {
            "202": answer("It will be sent.", ref(DeliveryView), headers=("Location",)),
            **_problems("There is no such job, or it has no such webhook."),
        },
    }


def _problems(not_found: str) -> Json:
    return problems(
        s404=not_found,
        s410="The job was deleted.",
        s422="A parameter is unknown.",
        s503="The database is away, or there is no secret to sign with.",
    )


def _received(kind: WebhookKind) -> Json:
    signed = ("webhook-id", "webhook-timestamp", "webhook-signature")
    text = {"type": "string"}
    return {
        "summary": f"Sent to the receiver that a job names, for {kind.value}",
        "parameters": [
            {"name": name, "in": "header", "required": True, "schema": text} for name in signed
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": ref(WebhookBody)}},
        },
        "responses": {
            "2XX": {"description": "It was taken. Any other status is a failure, and tried again."},
            "410": {"description": "Send nothing here any more."},
        },
    }
