"""Every error becomes a problem document (RFC 9457) with a stable `code`."""

import logging
from typing import Any

from flask import Flask, Response, g, jsonify
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestTimeout

from captioner.errors import CaptionerError

log = logging.getLogger(__name__)

STATUS = {
    "invalid_request": 422,
    "invalid_json": 400,
    "invalid_base64": 400,
    "no_images": 422,
    "too_many_images": 413,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "not_acceptable": 406,
    "model_unknown": 422,
    "invalid_option": 422,
    "collective_unsupported": 400,
    "invalid_prompt": 422,
    "job_not_found": 404,
    "job_not_final": 409,
    "job_final": 409,
    "nothing_to_retry": 409,
    "job_deleted": 410,
    "invalid_idempotency_key": 400,
    "idempotency_key_reuse": 422,
    "idempotency_in_progress": 409,
    "queue_full": 429,
    "unauthorized": 401,
    "forbidden": 403,
    "not_from_here": 403,
    "rate_limited": 429,
    "quota_exceeded": 429,
    "webhook_not_found": 404,
    "image_not_found": 404,
    "unknown_size": 400,
    "thumbnail_not_ready": 409,
    "thumbnail_not_found": 404,
    "all_images_refused": 422,
    "image_empty": 422,
    "unsupported_image_format": 415,
    "image_too_many_bytes": 413,
    "image_too_large": 422,
    "image_too_small": 422,
    "image_truncated": 422,
    "image_undecodable": 422,
    "url_not_allowed": 422,
    "url_fetch_failed": 422,
    "model_unavailable": 503,
    "hub_unavailable": 503,
    "model_not_ready": 503,
    "caption_failed": 500,
    "picture_missing": 500,
    "canceled": 409,
    "deadline_passed": 504,
    "worker_lost": 500,
    "database_unavailable": 503,
    "storage_unavailable": 503,
    "cache_unavailable": 503,
    "decoder_unavailable": 503,
    "url_unreachable": 503,
    "too_many_waiters": 503,
    "overloaded": 503,
    "webhooks_unconfigured": 503,
    "invalid_style": 400,
    "styler_unconfigured": 503,
    "styler_unavailable": 502,
    "styler_refused": 502,
    "styler_blocked": 502,
    "styler_garbled": 502,
    "shutting_down": 503,
    "internal_error": 500,
}
"""The HTTP status of each code of `captioner.errors`."""

HTTP_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "payload_too_large",
    415: "unsupported_media_type",
}
"""The code of what Flask itself refuses, by status."""

RETRY_AFTER_S = 5


def register(app: Flask) -> None:
    """Make the application answer every error as a problem document."""
    app.register_error_handler(CaptionerError, _ours)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(ParseException, _unreadable)
    app.register_error_handler(Exception, _unexpected)


def problem(code: str, *, status: int, title: str, detail: str, **extra: Any) -> Response:
    """A problem document. 503 and 429 say when to come back: `retry_after_s`, where it is known."""
    body = {
        "type": f"urn:captioner:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        **({"request_id": g.request_id} if "request_id" in g else {}),
        **extra,
    }
    response = jsonify(body)
    g.problem = code  # `api.traffic` counts it
    response.status_code = status
    response.content_type = "application/problem+json"
    if status in (429, 503) or code == "idempotency_in_progress":
        response.headers["Retry-After"] = str(extra.get("retry_after_s", RETRY_AFTER_S))
    return response


def _ours(error: CaptionerError) -> Response:
    status = STATUS[error.code]
    if status >= 500:
        log.warning("%s: %s", error.code, error.detail, extra=_fields("request_failed"))
    response = problem(
        error.code, status=status, title=error.title, detail=error.detail, **error.extra
    )
    if error.code in ("unauthorized", "forbidden"):
        response.headers["WWW-Authenticate"] = _challenge(error)
    if "urls" in error.extra:  # a job exists all the same: say where
        response.headers["Location"] = error.extra["urls"]["self"]
    return response


def _unreadable(error: Exception) -> Response:
    """The body is no HTTP. Neither told nor logged is what it is: it may hold a secret."""
    name = type(error).__name__
    log.info("A body could not be read (%s).", name, extra=_fields("request_unreadable"))
    detail = f"The body cannot be read as HTTP ({name})."
    response = problem("bad_request", status=400, title="Bad Request", detail=detail)
    response.headers["Connection"] = "close"
    return response


def _challenge(error: CaptionerError) -> str:
    """What a key would need (RFC 6750, section 3)."""
    scope = error.extra.get("scope")
    if scope:
        return f'Bearer realm="captioner", error="insufficient_scope", scope="{scope}"'
    return 'Bearer realm="captioner"' + (', error="invalid_token"' if g.get("showed_key") else "")


def _http(error: HTTPException) -> Response:
    if isinstance(error, ClientDisconnected):  # it left, or came too slowly: see api.sockets
        error = RequestTimeout("The request came too slowly.")
    status = error.code or 500
    response = problem(
        HTTP_CODES.get(status, f"http_{status}"),
        status=status,
        title=error.name,
        detail=error.description or error.name,
    )
    for name, value in error.get_headers():
        if name not in ("Content-Type", "Content-Length"):
            response.headers[name] = value
    return response


def _unexpected(error: Exception) -> Response:
    log.exception(
        "A request failed in a way that is our fault.",
        exc_info=error,
        extra=_fields("request_failed"),
    )
    return _ours(CaptionerError("The server made a mistake; it has been logged."))


def _fields(action: str) -> dict[str, str]:
    return {"action": action, **({"request_id": g.request_id} if "request_id" in g else {})}
