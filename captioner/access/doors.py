"""Whether keys are asked for, by where the service listens."""

import ipaddress
from functools import lru_cache
from pathlib import Path
from shlex import quote

from captioner.access import book
from captioner.database import NO_TABLES, OTHER_VERSION, Database
from captioner.errors import DatabaseUnavailable
from captioner.settings import Settings

CREATE = "captioner keys create --owner NAME --scope admin"
UPGRADE = "captioner db upgrade"


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
    seen = f"{settings.host} can be reached from other machines"
    database = Database(settings.database)
    try:
        with database.read() as session:
            has_keys = book.any_usable(session)
    except DatabaseUnavailable as error:
        if error.detail == NO_TABLES:
            return f"{seen}, and there is no API key. {_how(settings, UPGRADE, CREATE)}"
        commands = (UPGRADE, CREATE) if error.detail == OTHER_VERSION else (CREATE,)
        return f"{seen}. {error.detail} {_how(settings, *commands)}"
    finally:
        database.close()
    return None if has_keys else f"{seen}, and there is no API key. {_how(settings, CREATE)}"


def _how(settings: Settings, *commands: str) -> str:
    """What to do, as commands that find the same database from the same place."""
    usual = Path(Settings.model_fields["data_dir"].default).absolute()
    here = settings.data_dir.absolute()
    is_named = settings.database_url or here == usual
    there = "" if is_named else f"CAPTIONER_DATA_DIR={quote(str(here))} "
    lines = "".join(f"  {there}{command}\n" for command in commands)
    return (
        f"Make a key first:\n{lines}"
        "Or set CAPTIONER_AUTH=required to start without one, which answers nobody, or "
        "CAPTIONER_AUTH=off to let in whoever reaches it."
    )
