"""Whether keys are asked for, by where the service listens."""

import ipaddress
from functools import lru_cache

from captioner.access import book
from captioner.database import Database
from captioner.errors import DatabaseUnavailable
from captioner.settings import Settings

HOW = (
    "Make a key first:\n"
    "  captioner db upgrade\n"
    "  captioner keys create --owner NAME --scope admin\n"
    "Or set CAPTIONER_AUTH=required to start without one, which answers nobody, or "
    "CAPTIONER_AUTH=off to let in whoever reaches it."
)


@lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Whether only programs of this machine can reach that address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def asks_for_keys(settings: Settings, host: str | None = None) -> bool:
    """Whether a key is needed, listening at `host` (by default the setting's)."""
    if settings.auth == "auto":
        listens_at = (settings.host, settings.host if host is None else host)
        return not all(map(is_loopback, listens_at))
    return settings.auth == "required"


def why_not_open(settings: Settings) -> str | None:
    """Why the API is not to listen there, with what to do; `None` where it may."""
    if is_loopback(settings.host):
        return None
    if settings.debug:
        return f"CAPTIONER_DEBUG is for this machine alone, and {settings.host} is not."
    if settings.auth != "auto" or settings.api_key is not None:
        return None
    database = Database(settings.database)
    try:
        with database.read() as session:
            has_keys = book.any_usable(session)
    except DatabaseUnavailable as error:
        return f"{settings.host} can be reached from other machines. {error.detail} {HOW}"
    finally:
        database.close()
    if has_keys:
        return None
    return f"{settings.host} can be reached from other machines, and there is no API key. {HOW}"
