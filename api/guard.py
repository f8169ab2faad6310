"""Who may call which route, and how often. Everything is refused that is not opened here.

A route is open to all, or needs a scope: that which it is marked with, else `read` for GET and
`submit` for the rest. This runs before a body is read.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import uuid4

from flask import Flask, current_app, g, request

from api import own_site
from api.current import services
from captioner.access.callers import ANYBODY, NOBODY, Caller
from captioner.access.doors import asks_for_keys, is_loopback
from captioner.access.limits import Standing, several
from captioner.errors import RateLimited, Unauthorized
from captioner.settings import Settings
from models import Scope

View = TypeVar("View", bound=Callable[..., Any])
MARK = "captioner_scope"
ALWAYS = "captioner_always"
OPEN = "open"
METRICS = "metrics"
"""Open where the settings say so; else as any other."""
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
BEARER = re.compile(r"Bearer +(\S+) *", re.IGNORECASE)


def open_to_all(view: View) -> View:
    """Mark a view that asks for no key, and counts against no limit."""
    setattr(view, MARK, OPEN)
    return view


def needs(scope: Scope | str, *, always: bool = False) -> Callable[[View], View]:
    """Mark a view with the scope that a key needs for it.

    `always`: where keys are off as well, unless the settings say `debug`.
    """

    def marked(view: View) -> View:
        setattr(view, MARK, scope)
        setattr(view, ALWAYS, always)
        return view

    return marked


def register(app: Flask) -> None:
    """Guard every route of the application, those too that come later."""
    app.before_request(_name_the_request)
    app.before_request(_let_in)


def _name_the_request() -> None:
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if REQUEST_ID.fullmatch(given) else uuid4().hex
    g.caller = NOBODY


def _let_in() -> None:
    settings = services().settings
    if request.routing_exception is not None or request.method == "OPTIONS":
        _count(settings)
        return
    scope = _scope(settings)
    if scope is None:
        return
    g.caller = _caller(settings)
    _count(settings)
    g.caller.require(scope)


def _scope(settings: Settings) -> Scope | None:
    """What the route needs; `None` for one that is open to all."""
    marked = getattr(_view(), MARK, None)
    if marked == OPEN or (marked == METRICS and settings.metrics_open):
        return None
    if isinstance(marked, Scope):
        return marked
    return Scope.READ if request.method in ("GET", "HEAD") else Scope.SUBMIT


def _caller(settings: Settings) -> Caller:
    always = getattr(_view(), ALWAYS, False)
    door = _door()
    on_trust = settings.debug and is_loopback(door)
    if on_trust if always else not asks_for_keys(settings, door):
        if settings.auth != "off":  # also where a setting trusts this machine
            own_site.refuse_others(request, settings)
        return ANYBODY
    shown = _shown_key()
    g.showed_key = shown is not None
    if shown is None:
        _count(settings)
        raise Unauthorized(
            "Send an API key, as 'Authorization: Bearer KEY' or as 'X-API-Key: KEY'. A key in the "
            "address is not read."
        )
    try:
        return services().keyring.caller(shown)
    except Unauthorized:
        _count_failure(settings)
        raise


def _view() -> object:
    return current_app.view_functions[request.endpoint or ""]


def _door() -> str:
    """Where the connection came in: of gunicorn, the address it listens at."""
    as_it_came = request.environ.get("werkzeug.proxy_fix.orig", request.environ)
    if not as_it_came.get("REMOTE_ADDR"):
        return ""  # a socket file: the name would be the client's own word
    return str(request.environ.get("SERVER_NAME", ""))


def _shown_key() -> str | None:
    bearer = BEARER.fullmatch(request.headers.get("Authorization", ""))
    return bearer[1] if bearer else request.headers.get("X-API-Key")


def _count(settings: Settings) -> None:
    """Count the request. Raises `RateLimited` when there were too many."""
    least: Standing | None = None
    for item in several(settings.rate_limit):
        account = g.caller.account(network(request.remote_addr or ""))
        standing = services().limits.take(item, account, window=settings.rate_window)
        if least is None or not standing.allowed or standing.remaining < least.remaining:
            g.standing = least = standing
        if not standing.allowed:
            raise RateLimited(
                f"More requests than {item}. Try again in {standing.reset_s} s.",
                limit=standing.limit,
                retry_after_s=standing.reset_s,
            )


def _count_failure(settings: Settings) -> None:
    address = network(request.remote_addr or "")
    for item in several(settings.auth_failures):
        standing = services().limits.take(item, f"failures:{address}", window="fixed")
        if not standing.allowed:
            raise RateLimited(
                f"Too many wrong keys came from this address. Try again in {standing.reset_s} s.",
                retry_after_s=standing.reset_s,
            )


def network(address: str) -> str:
    """Of whom an address is: of IPv6 its first 64 bits, as one machine has them all.

    An IPv4 caller of a socket for both comes as `::ffff:192.0.2.1` (RFC 4291, section 2.5.5.2), and
    counts as itself.
    """
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv4Address):
        return str(known)
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(known), 64), strict=False))
