"""The Flask application."""

from flask import Flask, Response
from werkzeug.middleware.proxy_fix import ProxyFix

from api import errors
from api.request import BoundedRequest
from api.room import Room
from api.routes import (
    captions,
    controls,
    deleting,
    docs,
    events,
    health,
    metrics,
    webhooks,
    workers,
)
from captioner import logs
from captioner.services import Services
from captioner.settings import load

EXTENSION = "captioner"
ROOM = "captioner.room"
FORM_BUFFER_BYTES = 256 * 1024
"""Bytes of a text part. Werkzeug bounds its read buffer by it too: 64 KiB breaks large files."""
FORM_EXTRA_PARTS = 16
"""Parts of a form besides its pictures: model, prompt, and a little room."""


def create_app(services: Services | None = None) -> Flask:
    """Build the application. With no services given, they are made from the environment."""
    services = services or Services(load())
    settings = services.settings
    logs.configure(settings.log_level)
    app = Flask("api", static_folder=None)
    app.request_class = BoundedRequest
    app.config.update(
        MAX_CONTENT_LENGTH=settings.max_body_bytes,
        MAX_FORM_MEMORY_SIZE=FORM_BUFFER_BYTES,
        MAX_FORM_PARTS=settings.max_images + FORM_EXTRA_PARTS,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined] # the default provider has it
    app.extensions[EXTENSION] = services
    app.extensions[ROOM] = Room(settings)
    if settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.trusted_proxies)  # type: ignore[method-assign]
    errors.register(app)
    app.register_blueprint(captions.blueprint)
    app.register_blueprint(events.blueprint)
    app.register_blueprint(deleting.blueprint)
    app.register_blueprint(controls.blueprint)
    app.register_blueprint(workers.blueprint)
    app.register_blueprint(webhooks.blueprint)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(metrics.blueprint)
    docs.register(app)
    app.after_request(_headers)
    return app


def _headers(response: Response) -> Response:
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Cache-Control", "no-store")
    return response
