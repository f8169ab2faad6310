"""A real HTTP server with the API's contract, for tests of the command.

Captions follow from the bytes. A file whose bytes begin with `bad` fails in the work, one that
begins with `junk`, or is empty, is refused at the door. It can be busy, drop connections, stop
moving, or go.
"""

import hashlib
import socket
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field

from flask import Flask, Response, abort, jsonify, request
from werkzeug.serving import WSGIRequestHandler, make_server

JUNK = {"code": "unsupported_image_format", "detail": "Not a picture."}
EMPTY = {"code": "image_empty", "detail": "The picture has no bytes."}


def caption_of(data: bytes) -> str:
    """The caption that the server gives these bytes."""
    return f"a picture of {hashlib.sha256(data).hexdigest()[:8]}"


@dataclass
class Behaviour:
    """What a test makes the server do, and what the server has seen."""

    busy_answers: list[tuple[int, str]] = field(default_factory=list)
    """(status, Retry-After) for the next requests."""
    drop_posts: int = 0
    max_files: int = 1000
    stuck: bool = False
    evil: bool = False
    slow_s: float = 0.0
    on_post: Callable[[], None] | None = None
    posts: list[list[str]] = field(default_factory=list)
    post_times: list[float] = field(default_factory=list)
    forms: list[dict] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    running: int = 0
    most_running: int = 0


def _problem(status: int, code: str, detail: str, **extra) -> Response:
    answer = jsonify(
        {"type": "about:blank", "title": code, "status": status, "detail": detail, "code": code}
        | extra
    )
    answer.status_code = status
    answer.content_type = "application/problem+json"
    return answer


def _reason(data: bytes) -> dict[str, str] | None:
    """Why the door refuses a picture."""
    return JUNK if data.startswith(b"junk") else None if data else EMPTY


def _image(position: int, name: str, data: bytes, behaviour: Behaviour) -> dict:
    image = {"position": position, "file_name": name, "status": "succeeded", "error": None}
    if data.startswith(b"bad"):
        error = {"code": "image_undecodable", "title": "t", "detail": "It is damaged."}
        return image | {"status": "failed", "caption": None, "error": error}
    if reason := _reason(data):
        return image | {"status": "failed", "caption": None, "error": {"title": "t", **reason}}
    if behaviour.forms[-1].get("tags"):
        image["tags"] = ["a", "picture"]
    evil = "=cmd()\x1b[31m red\nline" if behaviour.evil else None
    return image | {"caption": evil or caption_of(data)}


class Door:
    """The two routes of the contract."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.jobs: dict[str, dict] = {}

    def app(self) -> Flask:
        app = Flask("caption_server")
        app.post("/captionImage")(self.submit)
        app.get("/captionImage/<job_id>")(self.view)
        return app

    def submit(self):
        behaviour = self.behaviour
        behaviour.keys.append(request.headers["Idempotency-Key"])
        behaviour.post_times.append(time.monotonic())
        self.drop_perhaps()
        files = [(each.filename, each.read()) for each in request.files.getlist("images")]
        refusal = self.refusal(files)
        if refusal:
            return refusal
        behaviour.posts.append([name for name, _ in files])
        behaviour.forms.append(request.form.to_dict())
        return self.accept(files)

    def drop_perhaps(self) -> None:
        if self.behaviour.drop_posts:
            self.behaviour.drop_posts -= 1
            request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            abort(500)

    def refusal(self, files: list[tuple[str, bytes]]) -> Response | None:
        if self.behaviour.busy_answers:
            status, after = self.behaviour.busy_answers.pop(0)
            answer = _problem(status, "too_many_waiters", "Too many calls are waiting.")
            answer.headers["Retry-After"] = after
            return answer
        if request.form.get("model") == "unheard-of":
            return _problem(422, "model_unknown", "No model 'unheard-of' is served here.")
        if len(files) > self.behaviour.max_files:
            return _problem(413, "too_many_images", "The request has too many pictures.")
        reasons = [_reason(data) for _, data in files]
        errors = [{"index": n, **reason} for n, reason in enumerate(reasons) if reason]
        if len(errors) < len(files):
            return None
        if all(reason == JUNK for reason in reasons):
            return _problem(415, errors=errors, **JUNK)
        return _problem(422, "all_images_refused", "None can be captioned.", errors=errors)

    def accept(self, files: list[tuple[str, bytes]]):
        images = [
            _image(position, name, data, self.behaviour)
            for position, (name, data) in enumerate(files)
        ]
        failed = sum(image["status"] == "failed" for image in images)
        status = {0: "succeeded", len(images): "failed"}.get(failed, "partial")
        job_id = f"job-{len(self.jobs)}"
        job = {"id": job_id, "status": status, "images": images}
        self.jobs[job_id] = job | {"at": time.monotonic()}
        self.behaviour.running += 1
        self.behaviour.most_running = max(self.behaviour.most_running, self.behaviour.running)
        if self.behaviour.on_post:
            self.behaviour.on_post()
        url = f"/captionImage/{job_id}"
        body = {"id": job_id, "msg": "Job Started!", "status": "queued", "urls": {"self": url}}
        return jsonify(body), 202, {"Location": url}

    def view(self, job_id: str):
        job = self.jobs.get(job_id)
        if job is None:
            return _problem(404, "job_not_found", "There is no such job.")
        if self.behaviour.stuck or time.monotonic() - job["at"] < self.behaviour.slow_s:
            waiting = {"status": "queued", "caption": None, "error": None}
            images = [image | waiting for image in job["images"]]
            return jsonify({"id": job_id, "status": "running", "images": images})
        self.behaviour.running -= 1
        return jsonify({key: job[key] for key in ("id", "status", "images")})


class _Quiet(WSGIRequestHandler):
    def log_request(self, *args, **kwargs):
        pass


class CaptionServer:
    """The running server. `vanish` closes its port; `behaviour` may change at any time."""

    def __init__(self) -> None:
        self.behaviour = Behaviour()
        self._server = make_server(
            "127.0.0.1", 0, Door(self.behaviour).app(), threaded=True, request_handler=_Quiet
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    @property
    def sent(self) -> list[str]:
        """Names of all pictures that were accepted, sorted."""
        return sorted(name for post in self.behaviour.posts for name in post)

    def vanish(self) -> None:
        """Stop listening, as a server that was killed."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def running():
    """A server that ends with the block."""
    server = CaptionServer()
    try:
        yield server
    finally:
        server.vanish()
