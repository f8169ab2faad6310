"""A part of us is away; the same call may work later."""

from captioner.errors.root import CaptionerError


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


class CacheUnavailable(ServiceError):
    """The captions that were made before cannot be reached."""

    code = "cache_unavailable"
    title = "Remembered captions cannot be reached"


class DecoderUnavailable(ServiceError):
    """No child process could be had to decode a picture; the picture is not at fault."""

    code = "decoder_unavailable"
    title = "Pictures cannot be decoded at the moment"


class TooManyWaiters(ServiceError):
    """All places for blocking calls are taken; the job itself is safe."""

    code = "too_many_waiters"
    title = "Too many calls are waiting"


class Overloaded(ServiceError):
    """The process holds as many large requests as it has room for; nothing was accepted."""

    code = "overloaded"
    title = "The service has too much to do"


class WebhooksUnconfigured(ServiceError):
    """A webhook was asked for, and the server has no secret to sign it with."""

    code = "webhooks_unconfigured"
    title = "The server cannot sign webhooks"


class ShuttingDown(ServiceError):
    """The process is ending and takes no new work."""

    code = "shutting_down"
    title = "The service is shutting down"


class UrlUnreachable(ServiceError):
    """The server that a URL names gave no proper answer; it may later."""

    code = "url_unreachable"
    title = "The URL's server does not answer"
