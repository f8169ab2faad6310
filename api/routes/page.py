"""The page at `/`, to caption pictures with a browser: files of the folder `api/web`, as they are.

They are read once. What a browser has it need not fetch again: the ETag is the file's own hash, the
same in every process and replica.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from flask import Blueprint, Flask, Response, abort, request

from api.guard import open_to_all

FOLDER = Path(__file__).parents[1] / "web"
PAGE = "index.html"
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""What the page may do (Content Security Policy): run and ask what is of this server alone."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # ask each time whether it changed
}


@dataclass(frozen=True)
class File:
    """A file of the page."""

    data: bytes
    media_type: str
    etag: str

    @classmethod
    def read(cls, path: Path) -> "File":
        """As it is on disk."""
        data = path.read_bytes()
        return cls(data, TYPES[path.suffix], hashlib.sha256(data).hexdigest()[:32])


def register(app: Flask) -> None:
    """Serve the page and its files."""
    files = {path.name: File.read(path) for path in FOLDER.iterdir() if path.suffix in TYPES}
    blueprint = Blueprint("page", __name__)

    @blueprint.get("/")
    @open_to_all
    def page() -> Response:
        return _answer(files[PAGE])

    @blueprint.get("/web/<name>")
    @open_to_all
    def file(name: str) -> Response:
        if name not in files or name == PAGE:
            abort(404)
        return _answer(files[name])

    app.register_blueprint(blueprint)


def _answer(file: File) -> Response:
    response = Response(file.data, mimetype=file.media_type, headers=HEADERS)
    response.set_etag(file.etag)
    response.make_conditional(request)
    return response
