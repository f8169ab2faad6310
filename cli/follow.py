"""Takes one request from its files to its captions: read, send, follow, tell."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from cli.answers import Refused
from cli.client import NoServer, Server, ServerAway, Stalled
from cli.outcome import Outcome
from cli.pictures import Failure, Picture, UnreadableError

TOO_LARGE = frozenset({"payload_too_large", "too_many_images", "http_413"})
PICTURE_FINAL = frozenset({"succeeded", "failed", "canceled"})
SERVER_FAULT = 500


class Loaded(NamedTuple):
    """A picture with its bytes."""

    picture: Picture
    data: bytes


class Follower:
    """Captions batches; `finish` hears of every picture once. Several threads may share it."""

    def __init__(
        self,
        server: Server,
        *,
        form: Mapping[str, str],
        timeout_s: float,
        finish: Callable[[Outcome], None],
    ) -> None:
        self._server = server
        self._form = form
        self._timeout_s = timeout_s
        self._finish = finish
        self._moved = time.monotonic()  # when any request last brought a result

    def caption(self, batch: Sequence[Picture]) -> None:
        """Caption these pictures. Raises Refused where no other request can fare better.

        Raises ServerAway, after finishing the pictures as failed, where the server is gone.
        """
        loaded = [entry for picture in batch if (entry := self._load(picture))]
        if loaded:
            self._send(loaded)

    def _load(self, picture: Picture) -> Loaded | None:
        try:
            return Loaded(picture, picture.read())
        except UnreadableError as error:
            self._finish(Outcome(picture, failure=error.failure))
            return None

    def _send(self, loaded: list[Loaded]) -> None:
        started = time.monotonic()
        images = [(entry.picture.file_name, entry.data) for entry in loaded]
        pictures = dict(enumerate(entry.picture for entry in loaded))
        job_id = None
        try:
            job_id = self._server.submit(images, form=self._form)
            del images  # the bytes are the server's business now
            self._follow(job_id, pictures, started)
        except Refused as refused:
            if job_id is None and refused.problem_code in TOO_LARGE and len(loaded) > 1:
                self._send(loaded[: len(loaded) // 2])
                self._send(loaded[len(loaded) // 2 :])
            else:
                self._refuse(refused, pictures, job_id)
        except NoServer:
            raise
        except ServerAway as away:
            self._fail_all(pictures, Failure(away.code, away.detail), job_id)
            raise

    def _refuse(self, refused: Refused, pictures: dict[int, Picture], job_id: str | None) -> None:
        for index, reason in refused.pictures.items():
            if picture := pictures.pop(index, None):
                self._finish(Outcome(picture, failure=Failure(*reason)))
        whole = not refused.pictures and refused.problem_code not in TOO_LARGE
        if whole and job_id is None and refused.status < SERVER_FAULT:
            raise refused
        self._fail_all(pictures, Failure(refused.problem_code, refused.detail), job_id)

    def _follow(self, job_id: str, pictures: dict[int, Picture], started: float) -> None:
        """Finish each picture as soon as it is final; those that stop moving have failed."""
        moved = time.monotonic()
        for view in self._server.watch(job_id):
            now = time.monotonic()
            for image in view.get("images") or ():
                if image.get("status") in PICTURE_FINAL and image.get("position") in pictures:
                    picture = pictures.pop(image["position"])
                    ms = round((now - started) * 1000)
                    self._finish(_outcome(picture, image, job_id=job_id, ms=ms))
                    moved = self._moved = now
            if not pictures:
                return
            if now - moved > self._timeout_s:
                break
        detail = f"No caption came for {self._timeout_s:g} s. Is a worker running?"
        if now - self._moved > self._timeout_s:
            raise Stalled(detail)
        self._fail_all(pictures, Failure(Stalled.code, detail), job_id)

    def _fail_all(self, pictures: dict[int, Picture], failure: Failure, job_id: str | None) -> None:
        while pictures:
            picture = pictures.pop(next(iter(pictures)))
            self._finish(Outcome(picture, failure=failure, job_id=job_id))


def _outcome(picture: Picture, image: Mapping[str, Any], *, job_id: str, ms: int) -> Outcome:
    caption, error = image.get("caption"), image.get("error") or {}
    if image["status"] == "succeeded" and isinstance(caption, str):
        tags = image.get("tags")
        words = tuple(map(str, tags)) if isinstance(tags, list) else None
        return Outcome(picture, caption=caption, job_id=job_id, ms=ms, tags=words)
    failure = Failure(
        str(error.get("code") or "caption_failed"),
        str(error.get("detail") or error.get("title") or "The server gave no reason."),
    )
    return Outcome(picture, failure=failure, job_id=job_id, ms=ms)
