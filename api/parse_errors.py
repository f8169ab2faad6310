"""What is answered to a request that never reaches the application, in the form of all our errors:
one that gunicorn cannot read, and one that does not come.

gunicorn's own answer is a page that quotes the request, and its log line does too: an API key with
a stray character in it would stand in both.
"""

import json
import logging
from http import HTTPStatus
from uuid import uuid4

from gunicorn.http import errors as http  # type: ignore[import-untyped]

from api import headers
from captioner.settings import Settings

log = logging.getLogger(__name__)

STATUS: dict[type[Exception], HTTPStatus] = {
    http.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    http.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    http.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    http.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
    http.ForbiddenProxyRequest: HTTPStatus.FORBIDDEN,
}
"""Of what is not 400."""
OURS = (http.InvalidResponseHeader, http.InvalidResponseHeaderName)


def unreadable(error: Exception, settings: Settings) -> bytes | None:
    """The whole answer; `None` where the client is not at fault. It is logged, not quoted."""
    if not isinstance(error, http.ParseException) or isinstance(error, OURS):
        return None
    status = STATUS.get(type(error), HTTPStatus.BAD_REQUEST)
    code = "bad_request" if status == HTTPStatus.BAD_REQUEST else f"http_{status}"
    name, request_id = type(error).__name__, uuid4().hex
    log.info(
        "A request could not be read (%s).",
        name,
        extra={"action": "request_unreadable", "request_id": request_id},
    )
    detail = f"The request cannot be read as HTTP ({name})."
    return _answer(status, code, detail, request_id, settings)


def too_slow(settings: Settings) -> bytes:
    """The whole answer to a request of which too little came in time. It is logged."""
    request_id = uuid4().hex
    log.info(
        "A request came too slowly.",
        extra={"action": "request_too_slow", "request_id": request_id},
    )
    detail = "The request came too slowly."
    return _answer(HTTPStatus.REQUEST_TIMEOUT, "request_timeout", detail, request_id, settings)


def _answer(
    status: HTTPStatus, code: str, detail: str, request_id: str, settings: Settings
) -> bytes:
    body = json.dumps(
        {
            "type": f"urn:captioner:problem:{code}",
            "title": status.phrase,
            "status": status,
            "detail": detail,
            "code": code,
            "request_id": request_id,
        }
    )
    named = {
        "Connection": "close",
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        "X-Request-ID": request_id,
        **headers.fixed(settings),
    }
    lines = [f"HTTP/1.1 {status:d} {status.phrase}", *(f"{k}: {v}" for k, v in named.items())]
    return "\r\n".join([*lines, "", body]).encode("ascii")
