"""A span around each request, within that of the caller where it sends a `traceparent`."""

from typing import TYPE_CHECKING, Any

from flask import Flask, Response, g, request

from captioner import tracing

if TYPE_CHECKING:
    from captioner.otlp import Teller

WATCHING = ("/healthz", "/readyz", "/metrics")
"""Routes that are called every few seconds by what watches us."""


def register(app: Flask) -> None:
    """Do so, where traces are told; else nothing is changed."""
    teller = tracing.teller()
    if teller is not None:
        app.before_request(lambda: _begin(teller))
        app.after_request(_answered)
        app.teardown_request(_end)


def _begin(teller: "Teller") -> None:
    if request.path in WATCHING:
        return
    route = request.url_rule.rule if request.url_rule is not None else ""
    g.span, g.span_within = teller.request(
        method=request.method, route=route, origin=request.headers.get("traceparent", "")
    )
    g.span_within.__enter__()


def _answered(response: Response) -> Response:
    if "span" in g:
        g.span.set_attribute("http.response.status_code", response.status_code)
        if g.get("request_id"):
            g.span.set_attribute("captioner.request_id", g.request_id)
        if response.status_code >= 500:
            g.span.set_attribute("error.type", g.get("problem", str(response.status_code)))
    return response


def _end(_: Any) -> None:
    if "span" in g:
        g.span_within.__exit__(None, None, None)
        g.span.end()
