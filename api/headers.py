"""Headers that every answer has: what browsers may do with it, its request's id, its limits."""

from flask import Flask, Response, g, request

from captioner.access.limits import Standing
from captioner.settings import Settings

FIXED = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
}
EXPOSED = (
    "Idempotency-Replayed, Link, Location, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, "
    "Retry-After, X-Request-ID"
)
ACCEPTED = (
    "Authorization, Cache-Control, Cancel-After, Content-Type, Idempotency-Key, Last-Event-ID, "
    "Prefer, X-API-Key, X-Request-ID"
)
METHODS = "GET, POST, DELETE"
PREFLIGHT_S = "600"


def fixed(settings: Settings) -> dict[str, str]:
    """Those that are the same with every answer, unless a route has set its own."""
    told = f"max-age={settings.hsts_s}"
    return FIXED | ({"Strict-Transport-Security": told} if settings.hsts_s else {})


def register(app: Flask, settings: Settings) -> None:
    """Add them to every answer of the application."""
    same, origins = fixed(settings), frozenset(settings.cors_origins)

    @app.after_request
    def added(response: Response) -> Response:
        there = {name.lower() for name, _ in response.headers}
        for name, value in same.items():
            if name.lower() not in there:
                response.headers.add(name, value)
        response.headers.add("X-Request-ID", g.get("request_id", ""))
        if "standing" in g:
            _limits(response, g.standing)
        if origins:
            _sharing(response, origins)
        return response


def _limits(response: Response, standing: Standing) -> None:
    """As draft-ietf-httpapi-ratelimit-headers had them until -07, and most clients read them."""
    response.headers["RateLimit-Limit"] = str(standing.limit)
    response.headers["RateLimit-Remaining"] = str(standing.remaining)
    response.headers["RateLimit-Reset"] = str(standing.reset_s)


def _sharing(response: Response, origins: frozenset[str]) -> None:
    """What the Fetch standard calls CORS: never with cookies, which nothing here reads."""
    response.vary.add("Origin")
    origin = request.headers.get("Origin", "")
    if origin.lower() not in origins:
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = EXPOSED
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        response.headers["Access-Control-Allow-Methods"] = METHODS
        response.headers["Access-Control-Allow-Headers"] = ACCEPTED
        response.headers["Access-Control-Max-Age"] = PREFLIGHT_S
