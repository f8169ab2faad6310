"""Database records, and nothing else.

Neural networks are called *engines* and live in `worker/engines`.
"""

from models.api_key import ApiKey, Scope
from models.base import Base
from models.blob import Blob
from models.deleted import DeletedJob
from models.details import ImageDetails
from models.figure import Figure
from models.idempotency import IdempotencyKey
from models.job import Job, JobImage
from models.result import ResultTally
from models.states import CancelCause, DeletionReason, ImageState, JobState, Priority
from models.tally import CacheTally
from models.webhook import (
    DeliveryState,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookKind,
)
from models.worker import SERVING, Worker

__all__ = [
    "SERVING",
    "ApiKey",
    "Base",
    "Blob",
    "CacheTally",
    "CancelCause",
    "DeletedJob",
    "DeletionReason",
    "DeliveryState",
    "Figure",
    "IdempotencyKey",
    "ImageDetails",
    "ImageState",
    "Job",
    "JobImage",
    "JobState",
    "Priority",
    "ResultTally",
    "Scope",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookKind",
    "Worker",
]
