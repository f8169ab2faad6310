"""What is wrong with a wish for styles, or kept it from being fulfilled.

With an image these are warnings: it has its plain caption all the same.
"""

from captioner.errors.request import RequestError
from captioner.errors.service import ServiceError
from captioner.errors.work import WorkError


class InvalidStyle(RequestError):
    """A style is not known, or a wish about styles cannot be; `option` names the field."""

    code = "invalid_style"
    title = "The style is not valid"


class StylerUnconfigured(ServiceError):
    """Styles were asked for, and this server has no key, address or model to write them with."""

    code = "styler_unconfigured"
    title = "The server cannot write styles"


class StylerUnavailable(WorkError):
    """The styler did not answer in time, has too much to do, or is away."""

    code = "styler_unavailable"
    title = "The styler does not answer"


class StylerRefused(WorkError):
    """The styler does not accept this server's key, or its request."""

    code = "styler_refused"
    title = "The styler refuses this server"


class StylerBlocked(WorkError):
    """The styler will not write about this caption."""

    code = "styler_blocked"
    title = "The styler will not write about this"


class StylerGarbled(WorkError):
    """The styler answered, but not with the captions that were asked for."""

    code = "styler_garbled"
    title = "The styler gave no usable answer"
