"""Whether the text of a URL may be called. Opens no connection and looks nothing up."""

from dataclasses import dataclass

import httpx

from captioner.errors import UrlNotAllowed
from captioner.outbound.addresses import Address, parse
from captioner.outbound.hosts import is_name, is_numeric
from captioner.outbound.rules import Rules

MAX_CHARS = 2048
OPERATOR = "Operator: CAPTIONER_OUTBOUND_ALLOW may name more."
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Target:
    """A URL whose text was checked. What is called is what was checked: it is parsed once."""

    url: httpx.URL
    host: str
    """In ASCII, lower case, without brackets and without a dot at the end."""
    port: int
    address: Address | None
    """The address, when the host is one and no name."""

    @property
    def secure(self) -> bool:
        """Whether it is called through TLS."""
        return self.url.scheme == "https"


def check(text: str, rules: Rules) -> Target:
    """The target that a URL names, if its text is one that may be called.

    Raises `UrlNotAllowed`. A host name that passes may still lead where it must not: that shows
    only when it is looked up, which is not done here.
    """
    url = _parsed(text)
    if url.scheme not in _DEFAULT_PORTS:
        raise UrlNotAllowed("The URL must begin with http:// or https://.")
    if url.userinfo:
        raise UrlNotAllowed("The URL must not hold a user name or password.")
    host = url.raw_host.decode("ascii").removesuffix(".")
    port = url.port if url.port is not None else _DEFAULT_PORTS[url.scheme]
    address = _address(host)
    if not rules.allows_port(host, port):
        raise UrlNotAllowed(f"Port {port} may not be called; 80 and 443 may. {OPERATOR}")
    if address is None:
        _check_name(host, port, rules)
    elif not rules.allows_address(address, host=host, port=port):
        raise UrlNotAllowed(f"The address {host} is not one of the public internet. {OPERATOR}")
    return Target(url.copy_with(host=host), host, port, address)


def _parsed(text: str) -> httpx.URL:
    if len(text) > MAX_CHARS:
        raise UrlNotAllowed(f"The URL is longer than {MAX_CHARS} characters.")
    if any(char.isspace() or not char.isprintable() or char == "\\" for char in text):
        raise UrlNotAllowed("The URL holds a space, a backslash or a control character.")
    try:
        return httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise UrlNotAllowed("The URL is not a valid one.") from error


def _address(host: str) -> Address | None:
    if not is_numeric(host):
        return None
    try:
        return parse(host)
    except ValueError as error:
        raise UrlNotAllowed("The URL's host is no IP address in its usual form.") from error


def _check_name(host: str, port: int, rules: Rules) -> None:
    if not is_name(host):
        raise UrlNotAllowed("The URL has no host, or one that is no host name.")
    if not rules.allows_name(host, port):
        raise UrlNotAllowed(f"The host {host} may not be called.")
