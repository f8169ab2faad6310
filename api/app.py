"""The Flask application."""

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from api import errors, guard, headers, lines, spans, traffic
from api.request import BoundedRequest
from api.room import Room
from api.routes import (
    admin,
    captions,
    controls,
    deleting,
    docs,
    events,
    health,
    images,
    metrics,
    page,
    upload,
    vlm,
    webhooks,
    workers,
)
from captioner import logs, tracing
from captioner.services import Services
from captioner.settings import load

EXTENSION = "captioner"
ROOM = "captioner.room"
FORM_BUFFER_BYTES = 256 * 1024
"""Bytes of all text of a form. Werkzeug bounds its buffer by it too: 64 KiB breaks large files."""
FORM_EXTRA_PARTS = 32
"""Parts of a form besides its pictures: model, options, styles, and a little room."""


def create_app(services: Services | None = None) -> Flask:
    """Build the application. With no services given, they are made from the environment."""
    services = services or Services(load())
    settings = services.settings
    logs.configure(settings.log_level, settings.log_format, marks=lines.marks)
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
    traffic.register(app, services.traffic)
    tracing.configure(settings, service="api")
    spans.register(app)
    errors.register(app)
    guard.register(app)
    app.register_blueprint(captions.blueprint)
    app.register_blueprint(images.blueprint)
    app.register_blueprint(upload.blueprint)
    app.register_blueprint(events.blueprint)
    app.register_blueprint(deleting.blueprint)
    app.register_blueprint(controls.blueprint)
    app.register_blueprint(workers.blueprint)
    app.register_blueprint(webhooks.blueprint)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(metrics.blueprint)
    app.register_blueprint(admin.blueprint)
    app.register_blueprint(vlm.blueprint)
    page.register(app)
    docs.register(app)
    headers.register(app, settings)
    return app
