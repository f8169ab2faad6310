"""The OpenAPI document, and a page to read and try it."""

from flask import Flask, Response, jsonify
from flask_swagger_ui import get_swaggerui_blueprint

from api.openapi import document

PAGE = "/docs"
DOCUMENT = "/openapi.json"


def register(app: Flask) -> None:
    """Serve both. The page's scripts come from an installed package, not from a network."""
    made = document()

    @app.get(DOCUMENT)
    def openapi() -> Response:
        return jsonify(made)

    app.register_blueprint(
        get_swaggerui_blueprint(PAGE, DOCUMENT, config={"app_name": "captioner"}), url_prefix=PAGE
    )
