"""Receivers that want no more: they said 410, to one caller's webhooks."""

from hashlib import sha256
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from captioner.clock import now
from models import WebhookEndpoint


def is_disabled(session: Session, *, caller: str, url: str) -> bool:
    """Whether nothing is to be sent there."""
    found = session.execute(select(WebhookEndpoint.caller).where(*_this(caller, url)))
    return found.first() is not None


def disable(session: Session, *, caller: str, url: str, reason: str) -> None:
    """Send nothing there from now on."""
    on_postgres = session.get_bind().dialect.name == "postgresql"
    insert = postgresql.insert if on_postgres else sqlite.insert
    session.execute(
        insert(WebhookEndpoint)
        .values(
            caller=caller, url_sha256=_hash(url), url=_shown(url), disabled_at=now(), reason=reason
        )
        .on_conflict_do_nothing()
    )


def enable(session: Session, *, caller: str, url: str) -> None:
    """Send there again."""
    session.execute(delete(WebhookEndpoint).where(*_this(caller, url)))


def _this(caller: str, url: str) -> list[ColumnElement[bool]]:
    return [WebhookEndpoint.caller == caller, WebhookEndpoint.url_sha256 == _hash(url)]


def _shown(url: str) -> str:
    # The hash finds it again; the path and the query may hold a secret, and this row is kept.
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}"


def _hash(url: str) -> str:
    return sha256(url.encode("utf-8", "surrogatepass")).hexdigest()
