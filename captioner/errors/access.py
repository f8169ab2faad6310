"""Who may do what, and how much of it."""

from captioner.errors.request import RequestError


class Unauthorized(RequestError):
    """No API key was shown, or one that is not valid."""

    code = "unauthorized"
    title = "An API key is needed"


class Forbidden(RequestError):
    """The API key does not allow this; `scope` says what it would need."""

    code = "forbidden"
    title = "The API key does not allow this"


class NotFromHere(RequestError):
    """No key is asked for, as only programs of this machine come in, and a web page of another site
    would: by a name of its own for this machine, or by having a browser send a form.
    """

    code = "not_from_here"
    title = "Without keys, no other site is served"


class RateLimited(RequestError):
    """Too many requests in too little time."""

    code = "rate_limited"
    title = "Too many requests"


class QuotaExceeded(RequestError):
    """The day's pictures are used up, or too few are left for this request."""

    code = "quota_exceeded"
    title = "The quota of pictures is used up"
