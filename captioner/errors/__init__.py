"""Everything that can go wrong, as one tree.

    CaptionerError                       code                        retryable
    ├── RequestError                     the caller can mend it
    │   ├── InvalidRequest               invalid_request             no
    │   ├── InvalidJson                  invalid_json                no
    │   ├── NoImages                     no_images                   no
    │   ├── TooManyImages                too_many_images             no
    │   ├── PayloadTooLarge              payload_too_large           no
    │   ├── UnsupportedMediaType         unsupported_media_type      no
    │   ├── NotAcceptable                not_acceptable              no
    │   ├── ModelUnknown                 model_unknown               no
    │   ├── InvalidOption                invalid_option              no
    │   ├── CollectiveUnsupported        collective_unsupported      no
    │   ├── InvalidPrompt                invalid_prompt              no
    │   ├── JobNotFound                  job_not_found               no
    │   ├── JobNotFinal                  job_not_final               no
    │   ├── JobFinal                     job_final                   no
    │   ├── NothingToRetry               nothing_to_retry            no
    │   ├── JobDeleted                   job_deleted                 no
    │   ├── InvalidIdempotencyKey        invalid_idempotency_key     no
    │   ├── IdempotencyKeyReuse          idempotency_key_reuse       no
    │   ├── IdempotencyInProgress        idempotency_in_progress     no
    │   ├── WebhookNotFound              webhook_not_found           no
    │   ├── ImageNotFound                image_not_found             no
    │   ├── UnknownSize                  unknown_size                no
    │   ├── ThumbnailNotReady            thumbnail_not_ready         no
    │   ├── ThumbnailNotFound            thumbnail_not_found         no
    │   ├── InvalidStyle                 invalid_style               no
    │   ├── QueueFull                    queue_full                  no
    │   ├── Unauthorized                 unauthorized                no
    │   ├── Forbidden                    forbidden                   no
    │   ├── NotFromHere                  not_from_here               no
    │   ├── RateLimited                  rate_limited                no
    │   ├── QuotaExceeded                quota_exceeded              no
    │   └── AllImagesRefused             all_images_refused          no
    ├── ImageError                       one picture is at fault, its neighbours are not
    │   ├── InvalidBase64                invalid_base64              no
    │   ├── ImageEmpty                   image_empty                 no
    │   ├── UnsupportedImageFormat       unsupported_image_format    no
    │   ├── ImageTooManyBytes            image_too_many_bytes        no
    │   ├── ImageTooLarge                image_too_large             no
    │   ├── ImageTooSmall                image_too_small             no
    │   ├── ImageTruncated               image_truncated             no
    │   ├── ImageUndecodable             image_undecodable           no
    │   ├── UrlNotAllowed                url_not_allowed             no
    │   └── UrlFetchFailed               url_fetch_failed            no
    ├── WorkError                        captioning itself went wrong
    │   ├── ModelUnavailable             model_unavailable           no
    │   │   ├── HubUnavailable           hub_unavailable             yes
    │   │   └── ModelNotReady            model_not_ready             yes
    │   ├── CaptionFailed                caption_failed              no
    │   ├── PictureMissing               picture_missing             no
    │   ├── Canceled                     canceled                    no
    │   ├── DeadlinePassed               deadline_passed             no
    │   ├── StylerUnavailable            styler_unavailable          no
    │   ├── StylerRefused                styler_refused              no
    │   ├── StylerBlocked                styler_blocked              no
    │   ├── StylerGarbled                styler_garbled              no
    │   └── WorkerLost                   worker_lost                 no
    └── ServiceError                     a part of us is away; the same call may work later
        ├── DatabaseUnavailable          database_unavailable        yes
        ├── StorageUnavailable           storage_unavailable         yes
        ├── CacheUnavailable             cache_unavailable           yes
        ├── DecoderUnavailable           decoder_unavailable         yes
        ├── TooManyWaiters               too_many_waiters            yes
        ├── UrlUnreachable               url_unreachable             yes
        ├── Overloaded                   overloaded                  yes
        ├── WebhooksUnconfigured         webhooks_unconfigured       yes
        ├── StylerUnconfigured           styler_unconfigured         yes
        └── ShuttingDown                 shutting_down               yes

`code` is stable: clients may compare it. The message says what is wrong and what to do. Which
HTTP status a code becomes is the business of `api.errors`.
"""

from captioner.errors.access import (
    Forbidden,
    NotFromHere,
    QuotaExceeded,
    RateLimited,
    Unauthorized,
)
from captioner.errors.image import (
    ImageEmpty,
    ImageError,
    ImageTooLarge,
    ImageTooManyBytes,
    ImageTooSmall,
    ImageTruncated,
    ImageUndecodable,
    InvalidBase64,
    UnsupportedImageFormat,
    UrlFetchFailed,
    UrlNotAllowed,
)
from captioner.errors.request import (
    AllImagesRefused,
    CollectiveUnsupported,
    IdempotencyInProgress,
    IdempotencyKeyReuse,
    ImageNotFound,
    InvalidIdempotencyKey,
    InvalidJson,
    InvalidOption,
    InvalidPrompt,
    InvalidRequest,
    JobDeleted,
    JobFinal,
    JobNotFinal,
    JobNotFound,
    ModelUnknown,
    NoImages,
    NotAcceptable,
    NothingToRetry,
    PayloadTooLarge,
    QueueFull,
    RequestError,
    ThumbnailNotFound,
    ThumbnailNotReady,
    TooManyImages,
    UnknownSize,
    UnsupportedMediaType,
    WebhookNotFound,
)
from captioner.errors.root import (
    CaptionerError,
)
from captioner.errors.service import (
    CacheUnavailable,
    DatabaseUnavailable,
    DecoderUnavailable,
    Overloaded,
    ServiceError,
    ShuttingDown,
    StorageUnavailable,
    TooManyWaiters,
    UrlUnreachable,
    WebhooksUnconfigured,
)
from captioner.errors.style import (
    InvalidStyle,
    StylerBlocked,
    StylerGarbled,
    StylerRefused,
    StylerUnavailable,
    StylerUnconfigured,
)
from captioner.errors.work import (
    Canceled,
    CaptionFailed,
    DeadlinePassed,
    HubUnavailable,
    ModelNotReady,
    ModelUnavailable,
    PictureMissing,
    WorkerLost,
    WorkError,
)

__all__ = [
    "AllImagesRefused",
    "CacheUnavailable",
    "Canceled",
    "CaptionFailed",
    "CaptionerError",
    "CollectiveUnsupported",
    "DatabaseUnavailable",
    "DeadlinePassed",
    "DecoderUnavailable",
    "Forbidden",
    "HubUnavailable",
    "IdempotencyInProgress",
    "IdempotencyKeyReuse",
    "ImageEmpty",
    "ImageError",
    "ImageNotFound",
    "ImageTooLarge",
    "ImageTooManyBytes",
    "ImageTooSmall",
    "ImageTruncated",
    "ImageUndecodable",
    "InvalidBase64",
    "InvalidIdempotencyKey",
    "InvalidJson",
    "InvalidOption",
    "InvalidPrompt",
    "InvalidRequest",
    "InvalidStyle",
    "JobDeleted",
    "JobFinal",
    "JobNotFinal",
    "JobNotFound",
    "ModelNotReady",
    "ModelUnavailable",
    "ModelUnknown",
    "NoImages",
    "NotAcceptable",
    "NotFromHere",
    "NothingToRetry",
    "Overloaded",
    "PayloadTooLarge",
    "PictureMissing",
    "QueueFull",
    "QuotaExceeded",
    "RateLimited",
    "RequestError",
    "ServiceError",
    "ShuttingDown",
    "StorageUnavailable",
    "StylerBlocked",
    "StylerGarbled",
    "StylerRefused",
    "StylerUnavailable",
    "StylerUnconfigured",
    "ThumbnailNotFound",
    "ThumbnailNotReady",
    "TooManyImages",
    "TooManyWaiters",
    "Unauthorized",
    "UnknownSize",
    "UnsupportedImageFormat",
    "UnsupportedMediaType",
    "UrlFetchFailed",
    "UrlNotAllowed",
    "UrlUnreachable",
    "WebhookNotFound",
    "WebhooksUnconfigured",
    "WorkError",
    "WorkerLost",
]
