"""What is answered to a request that gunicorn cannot read, in the form of all our errors.

gunicorn's own answer is a page that quotes the request, and its log line does too: an API key with
a stray character in it would stand in both.
"""

import json
import logging
from http import HTTPStatus
from uuid import uuid4

from gunicorn.http import errors as http  # type: ignore[import-untyped]

from api.headers import FIXED

log = logging.getLogger(__name__)

STATUS: dict[type[Exception], HTTPStatus] = {
    http.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    http.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    http.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    http.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
    http.ForbiddenProxyRequest: HTTPStatus.FORBIDDEN,
}
"""Of what is not 400."""
OURS = (http.ConfigurationProblem, http.InvalidResponseHeader, http.InvalidResponseHeaderName)


def answer(error: Exception) -> bytes | None:
    """The whole answer; `None` where the client is not at fault. It is logged, not quoted."""
    if not isinstance(error, http.ParseException) or isinstance(error, OURS):
        return None
    status = STATUS.get(type(error), HTTPStatus.BAD_REQUEST)
    code = "bad_request" if status == HTTPStatus.BAD_REQUEST else f"http_{status}"
    request_id = uuid4().hex
    log.info(
        "A request could not be read (%s).",
        type(error).__name__,
        extra={"action": "request_unreadable", "request_id": request_id},
    )
    body = json.dumps(
        {
            "type": f"urn:captioner:problem:{code}",
            "title": status.phrase,
            "status": status,
            "detail": f"The request cannot be read as HTTP ({type(error).__name__}).",
            "code": code,
            "request_id": request_id,
        }
    )
    headers = {
        "Connection": "close",
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        "X-Request-ID": request_id,
        **FIXED,
    }
    lines = [f"HTTP/1.1 {status:d} {status.phrase}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", body]).encode("ascii")
