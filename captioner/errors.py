"""Everything that can go wrong, as one tree.

    CaptionerError                       code                        retryable
    ├── RequestError                     the caller can mend it
    │   ├── InvalidRequest               invalid_request             no
    │   ├── InvalidJson                  invalid_json                no
    │   ├── NoImages                     no_images                   no
    │   ├── TooManyImages                too_many_images             no
    │   ├── PayloadTooLarge              payload_too_large           no
    │   ├── UnsupportedMediaType         unsupported_media_type      no
    │   ├── ModelUnknown                 model_unknown               no
    │   ├── InvalidPrompt                invalid_prompt              no
    │   ├── JobNotFound                  job_not_found               no
    │   └── AllImagesRefused             all_images_refused          no
    ├── ImageError                       one picture is at fault, its neighbours are not
    │   ├── InvalidBase64                invalid_base64              no
    │   ├── ImageEmpty                   image_empty                 no
    │   ├── UnsupportedImageFormat       unsupported_image_format    no
    │   ├── ImageTooManyBytes            image_too_many_bytes        no
    │   ├── ImageTooLarge                image_too_large             no
    │   ├── ImageTooSmall                image_too_small             no
    │   ├── ImageTruncated               image_truncated             no
    │   └── ImageUndecodable             image_undecodable           no
    ├── WorkError                        captioning itself went wrong
    │   ├── ModelUnavailable             model_unavailable           no
    │   ├── CaptionFailed                caption_failed              no
    │   ├── PictureMissing               picture_missing             no
    │   └── WorkerLost                   worker_lost                 no
    └── ServiceError                     a part of us is away; the same call may work later
        ├── DatabaseUnavailable          database_unavailable        yes
        ├── StorageUnavailable           storage_unavailable         yes
        ├── DecoderUnavailable           decoder_unavailable         yes
        ├── TooManyWaiters               too_many_waiters            yes
        └── ShuttingDown                 shutting_down               yes

`code` is stable: clients may compare it. The message says what is wrong and what to do. Which
HTTP status a code becomes is the business of `api.errors`.
"""

from typing import Any, ClassVar


class CaptionerError(Exception):
    """The root. `extra` is added to the problem document that a client sees."""

    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Something went wrong on our side"
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra


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


class InvalidPrompt(RequestError):
    """The prompt is too long or holds control characters."""

    code = "invalid_prompt"
    title = "The prompt is not valid"


class JobNotFound(RequestError):
    """No job has this id."""

    code = "job_not_found"
    title = "There is no such job"


class AllImagesRefused(RequestError):
    """Every picture of the request was refused; `errors` names each."""

    code = "all_images_refused"
    title = "None of the pictures can be captioned"


class ImageError(CaptionerError):
    """One picture is at fault; its neighbours go on."""


class InvalidBase64(ImageError):
    """A picture's base64 text does not decode."""

    code = "invalid_base64"
    title = "A picture is not valid base64"


class ImageEmpty(ImageError):
    """The picture has no bytes."""

    code = "image_empty"
    title = "The picture is empty"


class UnsupportedImageFormat(ImageError):
    """The bytes are no picture, or of a format that is not enabled."""

    code = "unsupported_image_format"
    title = "The picture's format is not supported"


class ImageTooManyBytes(ImageError):
    """The picture's file is larger than allowed."""

    code = "image_too_many_bytes"
    title = "The picture's file is too large"


class ImageTooLarge(ImageError):
    """The picture has more pixels, or a longer side, than allowed."""

    code = "image_too_large"
    title = "The picture has too many pixels"


class ImageTooSmall(ImageError):
    """A side of the picture is shorter than allowed."""

    code = "image_too_small"
    title = "The picture is too small"


class ImageTruncated(ImageError):
    """The picture's file ends too early."""

    code = "image_truncated"
    title = "The picture's file is incomplete"


class ImageUndecodable(ImageError):
    """The picture's file is damaged, or its decoding had to be stopped."""

    code = "image_undecodable"
    title = "The picture cannot be decoded"


class WorkError(CaptionerError):
    """Captioning itself went wrong."""


class ModelUnavailable(WorkError):
    """The model could not be loaded; the detail says why."""

    code = "model_unavailable"
    title = "The model cannot be loaded"


class CaptionFailed(WorkError):
    """The engine raised, or gave no usable answer, for this picture."""

    code = "caption_failed"
    title = "The picture could not be captioned"


class PictureMissing(WorkError):
    """The stored picture is not there any more."""

    code = "picture_missing"
    title = "The picture is no longer stored"


class WorkerLost(WorkError):
    """Every allowed attempt ended with the worker gone."""

    code = "worker_lost"
    title = "The worker died while it held this picture"


class ServiceError(CaptionerError):
    """A part of the service is away; the same call may work later."""

    retryable = True


class DatabaseUnavailable(ServiceError):
    """The database does not answer."""

    code = "database_unavailable"
    title = "The database does not answer"


class StorageUnavailable(ServiceError):
    """The blob store cannot be read or written."""

    code = "storage_unavailable"
    title = "The picture store does not answer"


class DecoderUnavailable(ServiceError):
    """No child process could be had to decode a picture; the picture is not at fault."""

    code = "decoder_unavailable"
    title = "Pictures cannot be decoded at the moment"


class TooManyWaiters(ServiceError):
    """All places for blocking calls are taken; the job itself is safe."""

    code = "too_many_waiters"
    title = "Too many calls are waiting"


class ShuttingDown(ServiceError):
    """The process is ending and takes no new work."""

    code = "shutting_down"
    title = "The service is shutting down"
