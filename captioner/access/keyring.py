"""Who shows this key? The database is asked at most every few seconds for each key."""

import hmac
import logging
import time
from dataclasses import dataclass

from pydantic import SecretStr

from captioner.access import book, keys
from captioner.access.callers import Caller
from captioner.database import Database
from captioner.errors import CaptionerError, Unauthorized
from models import Scope

log = logging.getLogger(__name__)

KNOWN_S = 5.0
"""How long an answer of the database holds: so much later at most, a revoked key is refused."""
OPERATOR = "operator"
"""The owner of what comes with the key of `CAPTIONER_API_KEY`."""
NOBODY_S = keys.digest("")


@dataclass(frozen=True)
class _Known:
    sha256: str
    caller: Caller
    trouble: str | None
    """Why it is refused, if it is."""
    until: float
    """When to ask again, by `time.monotonic`."""


class KeyRing:
    """Knows keys. Thread-safe; asks nothing before it is asked."""

    def __init__(self, database: Database, *, admin_key: SecretStr | None = None) -> None:
        self._database = database
        self._admin = keys.digest(admin_key.get_secret_value()) if admin_key else None
        self._known: dict[str, _Known] = {}

    def caller(self, key: str) -> Caller:
        """Whose key it is. Raises `Unauthorized`, which never quotes it."""
        sha256 = keys.digest(key)
        if self._admin and hmac.compare_digest(sha256, self._admin):
            return Caller(OPERATOR, frozenset(Scope))
        if not keys.is_key(key):
            raise Unauthorized("That is no key of this service. Check that it is whole.")
        known = self._find(keys.prefix_of(key))
        if not hmac.compare_digest(sha256, known.sha256 if known else NOBODY_S) or known is None:
            raise Unauthorized("There is no such key.")
        if known.trouble:
            raise Unauthorized(known.trouble)
        return known.caller

    def _find(self, prefix: str) -> _Known | None:
        known = self._known.get(prefix)
        if known is None or time.monotonic() >= known.until:
            known = self._ask(prefix)
            if known is None:
                self._known.pop(prefix, None)
            else:
                self._known[prefix] = known
        return known

    def _ask(self, prefix: str) -> _Known | None:
        with self._database.read() as session:
            found = book.find(session, prefix)
        if found is None:
            return None
        row, trouble = found.row, _trouble(found)
        if trouble is None and _is_stale(found):
            self._note_use(found)
        scopes = frozenset(map(Scope, row.scopes.split(",")))
        holds_s = max(0.0, min(KNOWN_S, found.left_s)) if trouble is None else KNOWN_S
        return _Known(
            row.sha256, Caller(row.owner, scopes, row.id), trouble, time.monotonic() + holds_s
        )

    def _note_use(self, found: book.Found) -> None:
        try:
            with self._database.write() as session:
                book.used(session, found.row.id)
        except CaptionerError as error:  # it is only a note
            log.warning(
                "The use of a key is not noted: %s",
                error.detail,
                extra={"action": "key_use_not_noted"},
            )


def _trouble(found: book.Found) -> str | None:
    if found.row.revoked_at is not None:
        return f"The key was revoked at {found.row.revoked_at:%Y-%m-%d %H:%M} UTC."
    if found.left_s <= 0:
        return f"The key expired at {found.row.expires_at:%Y-%m-%d %H:%M} UTC."
    return None


def _is_stale(found: book.Found) -> bool:
    last = found.row.last_used_at
    return last is None or (found.now - last).total_seconds() > book.USED_S
