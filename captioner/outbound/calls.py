"""One request to a checked target: the connection goes where the check was made, and is closed.

Nothing of the environment plays a part: no proxies, no netrc, no cookies.
"""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property

import httpcore
import httpx

from captioner.errors import UrlFetchFailed, UrlNotAllowed, UrlUnreachable
from captioner.outbound.addresses import Address
from captioner.outbound.deadline import Deadline
from captioner.outbound.names import Names
from captioner.outbound.pinned import PinnedBackend
from captioner.outbound.rules import Rules
from captioner.outbound.urls import Target

_ALWAYS = {"User-Agent": "captioner", "Accept-Encoding": "identity", "Connection": "close"}


class Calls:
    """Opens one connection for each call. May be used by many threads at once."""

    def __init__(self, rules: Rules, names: Names, *, tls: ssl.SSLContext | None = None) -> None:
        self._rules = rules
        self._names = names
        self._given_tls = tls

    @contextmanager
    def get(self, target: Target, *, deadline: Deadline) -> Iterator[httpcore.Response]:
        """The response to a GET, its body not read yet. Redirects are not followed.

        Raises `UrlNotAllowed` before a connection is opened when one of the addresses of the name
        may not be called; `UrlFetchFailed`; and `UrlUnreachable` when another try may help. Errors
        while the body is read inside the block become these too.
        """
        with self._call("GET", target, {"Accept": "image/*,*/*;q=0.5"}, None, deadline) as response:
            yield response

    @contextmanager
    def post(
        self, target: Target, *, body: bytes, headers: Mapping[str, str], deadline: Deadline
    ) -> Iterator[httpcore.Response]:
        """The response to a POST, as `get` gives it."""
        with self._call("POST", target, headers, body, deadline) as response:
            yield response

    @contextmanager
    def _call(
        self,
        method: str,
        target: Target,
        headers: Mapping[str, str],
        body: bytes | None,
        deadline: Deadline,
    ) -> Iterator[httpcore.Response]:
        backend = PinnedBackend(self._addresses(target, deadline), deadline=deadline)
        sent = [("Host", target.url.netloc.decode("ascii")), *{**headers, **_ALWAYS}.items()]
        url = httpcore.URL(
            scheme=target.url.raw_scheme,
            host=target.url.raw_host,
            port=target.port,
            target=target.url.raw_path,
        )
        tls = self._tls if target.secure else None
        connection = httpcore.HTTPConnection(url.origin, ssl_context=tls, network_backend=backend)
        with (
            _our_errors(target.host),
            connection,
            connection.stream(method, url, headers=sent, content=body) as response,
        ):
            yield response

    def _addresses(self, target: Target, deadline: Deadline) -> list[Address]:
        if target.address is not None:
            return [target.address]
        found = self._names.look_up(target.host, deadline=deadline)
        for address in found:
            if not self._rules.allows_address(address, host=target.host, port=target.port):
                # Which address it is stays untold: an inner network's names are not for clients.
                raise UrlNotAllowed(f"The host {target.host} leads to an address inside.")
        return found

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._given_tls or httpx.create_ssl_context()


@contextmanager
def _our_errors(host: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        raise UrlFetchFailed(f"The TLS of {host} is not as it should be.") from error
    except httpcore.ProtocolError as error:
        raise UrlFetchFailed(f"The answer of {host} is no proper HTTP.") from error
    except TimeoutError as error:
        raise UrlUnreachable(f"The host {host} did not answer in time.") from error
    except (OSError, httpcore.NetworkError) as error:
        raise UrlUnreachable(f"The connection to {host} failed.") from error
