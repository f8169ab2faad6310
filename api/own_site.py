"""Who comes in where no key is asked for: programs of this machine, and the service's own pages.

A browser here runs pages of other sites, too. Such a page reaches a server on loopback by a name
that its owner has point to 127.0.0.1, and then reads every answer; or it has the browser send a
form, of which it sees no answer.
"""

from urllib.parse import urlsplit

from flask import Request

from captioner.access.doors import is_loopback
from captioner.errors import NotFromHere
from captioner.settings import Settings

HOW = (
    "Ask for keys with CAPTIONER_AUTH=required, or let everybody in who reaches the service with "
    "CAPTIONER_AUTH=off."
)
LOOKS = ("GET", "HEAD", "OPTIONS")
OWN = ("same-origin", "none")
"""What a browser says of requests of the page itself, and of an address that was typed."""


def refuse_others(request: Request, settings: Settings) -> None:
    """Raise `NotFromHere` for a request that a page of another site is behind."""
    host = _host(request.host)
    if not is_loopback(host):
        raise NotFromHere(f"This address is not a name of this machine: {host[:100]!r}. {HOW}")
    if request.method not in LOOKS and _is_of_another_site(request, settings):
        raise NotFromHere("This was sent by a page of another site, which CAPTIONER_CORS_ORIGINS "
                          "may name.")  # fmt: skip


def _is_of_another_site(request: Request, settings: Settings) -> bool:
    origin = request.headers.get("Origin")
    if origin in settings.cors_origins:
        return False
    if origin is not None:
        return urlsplit(origin).netloc != request.host
    return request.headers.get("Sec-Fetch-Site", "none") not in OWN


def _host(address: str) -> str:
    try:
        return urlsplit(f"//{address}").hostname or ""
    except ValueError:
        return address
