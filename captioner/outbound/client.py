"""One GET for a picture and one POST for a webhook, each within a bound of time and size."""

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import httpcore
import httpx

from captioner.errors import CaptionerError, UrlFetchFailed, UrlNotAllowed, UrlUnreachable
from captioner.outbound import bodies
from captioner.outbound.calls import Calls
from captioner.outbound.deadline import Deadline
from captioner.outbound.names import Names, Resolve, system_resolve
from captioner.outbound.rules import Rules
from captioner.outbound.urls import Target, check

if TYPE_CHECKING:
    from collections.abc import Mapping

    from captioner.settings import Settings

REDIRECTS = (301, 302, 303, 307, 308)
WORTH_ANOTHER_TRY = (408, 425, 429)
MAX_ANSWER_BYTES = 4096
ANSWER_S = 2.0
"""How long the body of a webhook's answer is waited for, once its status is known."""


@dataclass(frozen=True)
class Answer:
    """What a webhook's receiver said. A redirect is an answer like any other, not followed."""

    status: int
    body: bytes
    """At most `MAX_ANSWER_BYTES` of it."""
    retry_after: str = ""
    """The header of that name, as it came."""

    @property
    def accepted(self) -> bool:
        """Whether the receiver took the delivery."""
        return 200 <= self.status < 300


class Outbound:
    """Calls addresses that clients named. May be used by many threads at once."""

    def __init__(
        self,
        rules: Rules,
        *,
        timeout_s: float = 15,
        max_redirects: int = 3,
        resolve: Resolve = system_resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.rules = rules
        self._timeout_s = timeout_s
        self._max_redirects = max_redirects
        self._calls = Calls(rules, Names(resolve), tls=tls)

    @classmethod
    def from_settings(cls, settings: "Settings") -> Self:
        """With the bounds and the allow-list in force."""
        return cls(
            Rules(settings.outbound_allow),
            timeout_s=settings.url_timeout_s,
            max_redirects=settings.url_max_redirects,
        )

    def deadline(self) -> Deadline:
        """The bound of time of one call, which may be cut short."""
        return Deadline(self._timeout_s)

    def fetch(self, url: str, *, max_bytes: int, deadline: Deadline | None = None) -> bytes:
        """The bytes that a GET of the URL gives, through a few redirects, each checked anew.

        What the bytes are is not looked at. The bound of time holds for all of it, look-ups and
        redirects included. Raises `UrlNotAllowed`, `ImageTooManyBytes` and `UrlFetchFailed`, which
        another try would not change, and `UrlUnreachable`, which it may.
        """
        deadline = deadline or self.deadline()
        target = check(url, self.rules)
        for _ in range(self._max_redirects + 1):
            with self._calls.get(target, deadline=deadline) as response:
                if response.status not in REDIRECTS:
                    return self._picture(response, target, max_bytes)
                target = _next(target, response, self.rules)
        raise UrlFetchFailed(f"The URL redirects more than {self._max_redirects} times.")

    def post(
        self,
        url: str,
        *,
        body: bytes,
        headers: "Mapping[str, str]",
        timeout_s: float | None = None,
    ) -> Answer:
        """What the receiver answers to a POST of `body`, whatever the status.

        Raises `UrlNotAllowed`, and `UrlFetchFailed` or `UrlUnreachable` when there is no answer.
        """
        deadline = Deadline(timeout_s or self._timeout_s)
        target = check(url, self.rules)
        with self._calls.post(target, body=body, headers=headers, deadline=deadline) as response:
            deadline.end_within(ANSWER_S)
            said = _beginning(response)
            return Answer(response.status, said, _header(response, b"retry-after"))

    def _picture(self, response: httpcore.Response, target: Target, max_bytes: int) -> bytes:
        if response.status != 200:
            raise _refused(response.status, target.host)
        length = _header(response, b"content-length")
        if length.isdecimal() and int(length) > max_bytes:
            raise bodies.too_large(max_bytes)
        encoding = _header(response, b"content-encoding").strip().lower()
        try:
            return bodies.read(response.iter_stream(), encoding=encoding, max_bytes=max_bytes)
        except TimeoutError as error:
            raise UrlFetchFailed(f"The picture took more than {self._timeout_s:g} s.") from error


def _next(target: Target, response: httpcore.Response, rules: Rules) -> Target:
    location = _header(response, b"location")
    if not location:
        raise UrlFetchFailed(f"The host {target.host} redirects to nowhere.")
    try:
        joined = str(target.url.join(location))
    except (httpx.InvalidURL, ValueError) as error:
        raise UrlNotAllowed("The URL redirects to something that is no URL.") from error
    onward = check(joined, rules)
    if target.secure and not onward.secure:
        raise UrlNotAllowed("The URL redirects from https to http.")
    return onward


def _refused(status: int, host: str) -> CaptionerError:
    detail = f"The host {host} answered with status {status}."
    if status >= 500 or status in WORTH_ANOTHER_TRY:
        return UrlUnreachable(detail)
    return UrlFetchFailed(detail)


def _header(response: httpcore.Response, name: bytes) -> str:
    values = [value for key, value in response.headers if key.lower() == name]
    return values[0].decode("latin-1") if values else ""


def _beginning(response: httpcore.Response) -> bytes:
    said = b""
    try:
        for chunk in response.iter_stream():
            said += chunk
            if len(said) >= MAX_ANSWER_BYTES:
                break
    except (OSError, httpcore.NetworkError, httpcore.ProtocolError):
        pass  # the status is the answer; what came with it is for people to read
    return said[:MAX_ANSWER_BYTES]
