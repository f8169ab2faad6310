"""What the caller can mend in a request."""

from captioner.errors.root import CaptionerError


class RequestError(CaptionerError):
    """The request cannot be done as it stands; the caller can mend it."""


class InvalidRequest(RequestError):
    """A field has a value that it may not have."""

    code = "invalid_request"
    title = "The request is not valid"


class InvalidJson(RequestError):
    """The body is not the JSON that we accept."""

    code = "invalid_json"
    title = "The body is not valid JSON"


class NoImages(RequestError):
    """The request holds no picture."""

    code = "no_images"
    title = "The request has no pictures"


class TooManyImages(RequestError):
    """The request holds more pictures than one job may have."""

    code = "too_many_images"
    title = "The request has too many pictures"


class PayloadTooLarge(RequestError):
    """The body is larger than the server reads."""

    code = "payload_too_large"
    title = "The request is too large"


class UnsupportedMediaType(RequestError):
    """The body is neither JSON nor a multipart form."""

    code = "unsupported_media_type"
    title = "The content type is not supported"


class ModelUnknown(RequestError):
    """No model of that name is served here."""

    code = "model_unknown"
    title = "The model is not served here"


class InvalidOption(RequestError):
    """An option has a value that the model does not take."""

    code = "invalid_option"
    title = "The model does not take this option"


class CollectiveUnsupported(RequestError):
    """The model cannot say one caption of several pictures; `models` names those that can."""

    code = "collective_unsupported"
    title = "The model cannot caption pictures together"


class InvalidPrompt(RequestError):
    """The prompt is too long, for the server or the model, or holds control characters."""

    code = "invalid_prompt"
    title = "The prompt is not valid"


class JobNotFound(RequestError):
    """No job has this id."""

    code = "job_not_found"
    title = "There is no such job"


class ImageNotFound(RequestError):
    """No image of the pipeline has this id."""

    code = "image_not_found"
    title = "There is no such image"


class UnknownSize(RequestError):
    """No thumbnails of this size are made; `sizes` names those that are."""

    code = "unknown_size"
    title = "There is no such size of thumbnails"


class ThumbnailNotReady(RequestError):
    """The image is not done yet; its thumbnails are made with its caption."""

    code = "thumbnail_not_ready"
    title = "The thumbnail is not made yet"


class ThumbnailNotFound(RequestError):
    """The image is done and has no thumbnails: it failed, or its picture is kept no longer."""

    code = "thumbnail_not_found"
    title = "The image has no thumbnail"


class WebhookNotFound(RequestError):
    """The job has no webhook of this id."""

    code = "webhook_not_found"
    title = "There is no such webhook"


class AllImagesRefused(RequestError):
    """Every picture of the request was refused; `errors` names each."""

    code = "all_images_refused"
    title = "None of the pictures can be captioned"


class JobNotFinal(RequestError):
    """The call needs a job that is done, and this one is not; `job_status` says what it is."""

    code = "job_not_final"
    title = "The job is not done yet"


class JobFinal(RequestError):
    """The call needs a job that is not done, and this one is; `job_status` says what it is."""

    code = "job_final"
    title = "The job is done already"


class NothingToRetry(RequestError):
    """No image of the job is in a state from which it can be tried again."""

    code = "nothing_to_retry"
    title = "No picture of the job can be tried again"


class NotAcceptable(RequestError):
    """The caller takes none of the forms that this can be told in."""

    code = "not_acceptable"
    title = "It cannot be told in a form that is accepted"


class JobDeleted(RequestError):
    """The job was here and is gone; `deleted_at` and `reason` say when and why."""

    code = "job_deleted"
    title = "The job was deleted"


class InvalidIdempotencyKey(RequestError):
    """The key is empty, too long, or holds other than printable ASCII."""

    code = "invalid_idempotency_key"
    title = "The Idempotency-Key is not valid"


class IdempotencyKeyReuse(RequestError):
    """The same key came before, with another request behind it."""

    code = "idempotency_key_reuse"
    title = "The Idempotency-Key was used for another request"


class IdempotencyInProgress(RequestError):
    """The first request with this key is still being stored; ask again."""

    code = "idempotency_in_progress"
    title = "A request with this Idempotency-Key is being stored"


class QueueFull(RequestError):
    """The queue, or the caller's share of it, is full: come back later."""

    code = "queue_full"
    title = "Too many pictures are waiting"
