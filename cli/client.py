"""Speaks the service's HTTP: send pictures, follow the job, wait while the server is busy.

It knows nothing about files, output or threads; several threads may share one `Server`.
"""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Event
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from captioner import retry_after
from captioner.errors import CaptionerError, InvalidRequest
from cli.answers import json_object, refusal
from cli.escape import plain

FINAL = frozenset({"succeeded", "partial", "failed", "canceled", "expired"})
BUSY = frozenset({429, 502, 503, 504})
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class ServerAway(CaptionerError):
    """No server answers: not at all, or not any more."""

    code = "server_unreachable"
    title = "The server cannot be reached"


class NoServer(ServerAway):
    """Nothing has ever answered at this address."""


class Stalled(ServerAway):
    """The server answers, but captions nothing."""

    code = "timed_out"
    title = "No captions come"


class Stopped(Exception):
    """The run was ended while this call was waiting."""


class Server:
    """One captioner server. Every call gives up `timeout_s` after its last sign of life."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float,
        stop: Event,
        say: Callable[[str], None],
        key: str | None = None,
    ) -> None:
        self.url = address(url)
        self._timeout_s = timeout_s
        self._stop = stop
        self._say = say
        self._answered = False
        self._http = httpx.Client(
            timeout=httpx.Timeout(min(60.0, timeout_s), connect=min(5.0, timeout_s), pool=None),
            trust_env=urlsplit(self.url).hostname not in LOOPBACK,  # no proxy to this machine
            headers={
                "Accept": "application/json, application/problem+json",
                **({"Authorization": f"Bearer {key}"} if key else {}),
            },
        )

    def close(self) -> None:
        """Close all connections; calls that are under way fail."""
        self._http.close()

    def submit(self, images: Sequence[tuple[str, bytes]], *, form: Mapping[str, str]) -> str:
        """Send (name, bytes) pairs as one job and return its id. Raises Refused, ServerAway.

        A repeated call carries the same Idempotency-Key and the same body, so that a server
        that heard the first can tell.
        """
        key = uuid.uuid4().hex
        answer = self._call(
            "POST",
            "/captionImage",
            data=dict(form),
            files=[("images", (name, data, "application/octet-stream")) for name, data in images],
            headers={
                "Idempotency-Key": key,
                "Content-Type": f"multipart/form-data; boundary={key}",
            },
        )
        job_id = json_object(answer).get("id") if answer.is_success else None
        if not job_id:
            raise refusal(answer)
        return str(job_id)

    def ask(self, method: str, path: str, **content: Any) -> Any:
        """One call, and the JSON of its answer. Raises Refused, ServerAway."""
        answer = self._call(method, path, **content)
        if not answer.is_success:
            raise refusal(answer)
        return answer.json() if answer.content else None

    def watch(self, job_id: str) -> Iterator[Mapping[str, Any]]:
        """The job's view, again and again until it is final. Raises Refused, ServerAway."""
        pause_s = FIRST_PAUSE_S
        while True:
            self._pause(pause_s)
            answer = self._call("GET", f"/captionImage/{quote(job_id, safe='')}")
            view = json_object(answer) if answer.status_code == httpx.codes.OK else {}
            if "status" not in view:
                raise refusal(answer)
            yield view
            if view["status"] in FINAL:
                return
            pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)

    def _call(self, method: str, path: str, **content: Any) -> httpx.Response:
        give_up_at = time.monotonic() + self._timeout_s
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                answer = self._http.request(method, self.url + path, **content)
            except httpx.TransportError as error:
                away: CaptionerError = self._away(error)
                wait_s = pause_s
            else:
                self._answered = True
                if answer.status_code not in BUSY:
                    return answer
                away = refusal(answer)
                wait_s = max(retry_after.seconds(answer.headers.get("Retry-After", "")), pause_s)
            remaining_s = give_up_at - time.monotonic()
            if remaining_s <= 0:
                raise ServerAway(away.detail) from away
            self._wait_for(away, min(wait_s, remaining_s))
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S * 5)

    def _away(self, error: httpx.TransportError) -> ServerAway:
        if self._stop.is_set():
            raise Stopped from error
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) and not self._answered:
            raise NoServer(
                f"No captioner server answers at {self.url}. Start one with `captioner up`, "
                "or name another with --server URL."
            ) from error
        return ServerAway(f"The server at {self.url} stopped answering ({_short(error)}).")

    def _wait_for(self, away: CaptionerError, wait_s: float) -> None:
        if wait_s >= 1:
            self._say(f"{plain(away.detail)} Trying again in {wait_s:.0f} s.")
        self._pause(wait_s)

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Stopped


def address(url: str) -> str:
    """The server's address in full. Raises InvalidRequest for anything else."""
    full = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(full)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise InvalidRequest(f"{url!r} is not the address of a server, such as http://host:8000.")
    return full.rstrip("/")


def _short(error: httpx.TransportError) -> str:
    return plain(str(error)) or type(error).__name__
