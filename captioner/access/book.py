"""The keys in the database: made, listed, revoked, found."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from captioner.access import keys
from captioner.clock import now, now_plus
from captioner.errors import InvalidRequest
from models import ApiKey, Scope

OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
USED_S = 3600.0
"""How exact `last_used_at` is."""


@dataclass(frozen=True)
class Found:
    """A key with this prefix, and where it stands by the database's clock."""

    row: ApiKey
    now: datetime

    @property
    def left_s(self) -> float:
        """Seconds until it expires; infinite for one that does not."""
        ends = self.row.expires_at
        return float("inf") if ends is None else (ends - self.now).total_seconds()


def create(
    session: Session,
    *,
    owner: str,
    scopes: Collection[Scope],
    expires_at: datetime | None = None,
    note: str | None = None,
) -> tuple[ApiKey, str]:
    """A new key: its row, and the key itself, which nobody can be told again.

    Raises `InvalidRequest` for an owner that is no name, and without a scope.
    """
    if not OWNER.fullmatch(owner):
        raise InvalidRequest(
            f"The owner {owner[:64]!r} is no name: 1 to 64 letters, digits and . _ @ - are."
        )
    if not scopes:
        raise InvalidRequest("A key needs at least one scope.")
    created: datetime = session.scalars(select(now())).one()
    if expires_at is not None and expires_at <= created:
        raise InvalidRequest(
            f"The key would expire at {expires_at:%Y-%m-%d %H:%M} UTC: in the past."
        )
    key = keys.new_key()
    row = ApiKey(
        id=uuid7(),
        prefix=keys.prefix_of(key),
        sha256=keys.digest(key),
        owner=owner,
        scopes=",".join(scope for scope in Scope if scope in scopes),
        note=note,
        created_at=created,
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    return row, key


def listed(session: Session, *, owner: str | None = None) -> Sequence[ApiKey]:
    """All keys, or those of one owner, oldest first; revoked and expired ones too."""
    query = select(ApiKey).order_by(ApiKey.created_at, ApiKey.id)
    return session.scalars(query if owner is None else query.where(ApiKey.owner == owner)).all()


def revoke(session: Session, prefix: str) -> ApiKey | None:
    """Let the key that begins like this be of no use any more. `None` where there is none.

    The whole key may be given too. One that was revoked before keeps its time.
    """
    row = session.scalar(select(ApiKey).where(ApiKey.prefix == keys.prefix_of(prefix)))
    if row is not None and row.revoked_at is None:
        row.revoked_at = session.scalars(select(now())).one()
    return row


def find(session: Session, prefix: str) -> Found | None:
    """The key with this prefix, whatever its state. One statement."""
    row = session.execute(select(ApiKey, now().label("now")).where(ApiKey.prefix == prefix)).first()
    return None if row is None else Found(row[0], row[1])


def used(session: Session, key_id: UUID) -> None:
    """Note that it was used, unless that was noted within the hour."""
    unknown = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < now_plus(-USED_S))
    session.execute(
        update(ApiKey)
        .where(ApiKey.id == key_id, unknown)
        .values(last_used_at=now())
        .execution_options(synchronize_session=False)
    )


def any_usable(session: Session) -> bool:
    """Whether there is a key that somebody could show."""
    usable = ApiKey.revoked_at.is_(None) & or_(
        ApiKey.expires_at.is_(None), ApiKey.expires_at > now()
    )
    return session.scalar(select(ApiKey.id).where(usable).limit(1)) is not None
