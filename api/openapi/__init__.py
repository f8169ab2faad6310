"""The OpenAPI 3.1 document, made from the schemas that validate."""

from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.deliveries import DeliveryView, WebhookBody
from api.forms import ImageForm, SubmitForm, SubmitJson, UploadForm
from api.image_shapes import ImageAccepted, ImageListed, PipelineImage, Stats, Thumbnail
from api.openapi import (
    access,
    admin,
    captions,
    controls,
    events,
    health,
    images,
    metrics,
    upload,
    vlm,
    webhooks,
    workers,
)
from api.openapi.parts import Json
from api.removed import Deleted
from api.schemas import (
    Accepted,
    Alive,
    CacheReset,
    Finished,
    JobSummary,
    JobView,
    Problem,
    Ready,
    WorkerView,
)
from api.style_view import StyledView, StyleOffer
from api.vlm import Offer, PicturesForm, VlmCollective, VlmResults

ANSWERS = (
    Accepted,
    Alive,
    CacheReset,
    Deleted,
    DeliveryView,
    Finished,
    ImageAccepted,
    ImageListed,
    JobSummary,
    JobView,
    Offer,
    PipelineImage,
    Problem,
    Ready,
    Stats,
    StyledView,
    StyleOffer,
    Thumbnail,
    VlmCollective,
    VlmResults,
    WebhookBody,
    WorkerView,
)
BODIES = (ImageForm, PicturesForm, SubmitForm, SubmitJson, UploadForm)


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
        "security": [{"bearer": []}, {"key": []}, {}],
        "paths": access.guarded(
            {
                **captions.paths(),
                **images.paths(),
                **vlm.paths(),
                **upload.paths(),
                **events.paths(),
                **controls.paths(),
                **webhooks.paths(),
                **workers.paths(),
                **health.paths(),
                **metrics.paths(),
                **admin.paths(),
            }
        ),
        "webhooks": webhooks.webhooks(),
        "components": {"schemas": _schemas(), "securitySchemes": access.schemes()},
    }


def _schemas() -> Json:
    chosen: list[tuple[type[BaseModel], Any]] = [
        *((model, "serialization") for model in ANSWERS),
        *((model, "validation") for model in BODIES),
    ]
    _, made = models_json_schema(chosen, ref_template="#/components/schemas/{model}")
    schemas: Json = made["$defs"]
    return schemas
