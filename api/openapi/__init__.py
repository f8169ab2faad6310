"""The OpenAPI 3.1 document, made from the schemas that validate."""

from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.deliveries import DeliveryView, WebhookBody
from api.forms import SubmitForm, SubmitJson
from api.openapi import captions, controls, events, health, metrics, webhooks, workers
from api.openapi.parts import Json
from api.removed import Deleted
from api.schemas import Accepted, Alive, Finished, JobSummary, JobView, Problem, Ready, WorkerView

ANSWERS = (
    Accepted,
    Alive,
    Deleted,
    DeliveryView,
    Finished,
    JobSummary,
    JobView,
    Problem,
    Ready,
    WebhookBody,
    WorkerView,
)
BODIES = (SubmitForm, SubmitJson)


def document() -> Json:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "captioner",
            "version": version("captioner"),
            "description": "Pictures in, captions out, as durable jobs.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": {
            **captions.paths(),
            **events.paths(),
            **controls.paths(),
            **webhooks.paths(),
            **workers.paths(),
            **health.paths(),
            **metrics.paths(),
        },
        "webhooks": webhooks.webhooks(),
        "components": {"schemas": _schemas()},
    }


def _schemas() -> Json:
    chosen: list[tuple[type[BaseModel], Any]] = [
        *((model, "serialization") for model in ANSWERS),
        *((model, "validation") for model in BODIES),
    ]
    _, made = models_json_schema(chosen, ref_template="#/components/schemas/{model}")
    schemas: Json = made["$defs"]
    return schemas
