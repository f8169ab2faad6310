"""The Flask application."""

from flask import Flask, Response

from api import errors
from api.routes import captions, docs, health
from captioner import logs
from captioner.services import Services
from captioner.settings import load

EXTENSION = "captioner"
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
    app.config.update(
        MAX_CONTENT_LENGTH=settings.max_body_bytes,
        MAX_FORM_MEMORY_SIZE=FORM_BUFFER_BYTES,
        MAX_FORM_PARTS=settings.max_images + FORM_EXTRA_PARTS,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined] # the default provider has it
    app.extensions[EXTENSION] = services
    errors.register(app)
    app.register_blueprint(captions.blueprint)
    app.register_blueprint(health.blueprint)
    docs.register(app)
    app.after_request(_headers)
    return app


def _headers(response: Response) -> Response:
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Cache-Control", "no-store")
    return response
