"""A local server that speaks the part of the Hugging Face hub's protocol that downloads use."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" * 6 + "c0ff"


@contextmanager
def serving(repositories: dict[str, Path], *, port: int = 0) -> Iterator[str]:
    """Address of a hub that has these repositories, each at one commit."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def log_message(self, *_: object) -> None:
            """Say nothing: the tests look at what the client says."""

        def _answer(self, *, with_body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            listing = _listing(repositories, path)
            file = _find(repositories, path)
            if listing is None and file is None:
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            data = listing if file is None else file.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if with_body:
                self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _listing(repositories: dict[str, Path], path: str) -> bytes | None:
    """What the hub says of a repository: its commit and its files, or each file's size."""
    for repository, folder in repositories.items():
        if path.startswith(f"/api/models/{repository}/revision/"):
            names = [{"rfilename": file.name} for file in sorted(folder.iterdir())]
            known = {"_id": "0" * 24, "id": repository, "modelId": repository, "tags": []}
            return json.dumps({**known, "sha": COMMIT, "siblings": names}).encode()
        if path.startswith(f"/api/models/{repository}/tree/{COMMIT}"):
            tree = [
                {"type": "file", "path": f.name, "size": f.stat().st_size, "oid": "0" * 40}
                for f in sorted(folder.iterdir())
            ]
            return json.dumps(tree).encode()
    return None


def _find(repositories: dict[str, Path], path: str) -> Path | None:
    """`/owner/name/resolve/revision/file`, or nothing."""
    for repository, folder in repositories.items():
        for revision in ("main", COMMIT):
            start = f"/{repository}/resolve/{revision}/"
            if path.startswith(start) and (folder / path.removeprefix(start)).is_file():
                return folder / path.removeprefix(start)
    return None
