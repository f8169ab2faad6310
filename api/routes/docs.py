"""The OpenAPI document, and a page to read and try it."""

import base64
import hashlib
import re

from flask import Flask, Response, jsonify
from flask_swagger_ui import get_swaggerui_blueprint

from api.guard import open_to_all
from api.openapi import document

PAGE = "/docs"
DOCUMENT = "/openapi.json"
POLICY = (
    "default-src 'none'; script-src 'self'{hashes}; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
)
"""Of the page, whose styles and one script stand in it."""
INLINE = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def register(app: Flask) -> None:
    """Serve both. The page's scripts come from an installed package, not from a network."""
    made = document()

    @app.get(DOCUMENT)
    @open_to_all
    def openapi() -> Response:
        return jsonify(made)

    page = get_swaggerui_blueprint(PAGE, DOCUMENT, config={"app_name": "captioner"})
    page.after_request(_policy)
    app.register_blueprint(page, url_prefix=PAGE)
    open_to_all(app.view_functions[f"{page.name}.show"])


def _policy(response: Response) -> Response:
    html = b"" if response.direct_passthrough else response.get_data()
    digests = (hashlib.sha256(script).digest() for script in INLINE.findall(html))
    hashes = "".join(f" 'sha256-{base64.b64encode(each).decode()}'" for each in digests)
    response.headers["Content-Security-Policy"] = POLICY.format(hashes=hashes)
    return response
