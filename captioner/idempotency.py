"""Keys that make a request safe to send twice (IETF draft-ietf-httpapi-idempotency-key-header).

The key is stored in the transaction that stores the job: either both are there, or none is. Of
requests that come at once with one key, the first to store it makes the job; the others wait for
its end, and are given the same job.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from captioner.clock import now, now_plus
from captioner.errors import IdempotencyInProgress, IdempotencyKeyReuse
from captioner.work import Picture
from models import IdempotencyKey

WAIT_MS = 2_000
"""How long a request waits, on Postgres, for another with its key. SQLite has one writer at a time:
there it waits as any writer does."""
LOCK_NOT_AVAILABLE = "55P03"


def fingerprint(options: Mapping[str, object], pictures: Sequence[Picture]) -> str:
    """Sha-256, in hex, over what was asked for.

    Pictures count by their own hash, URL or refusal, and not as bytes of the body: the boundary of
    a form differs each time it is sent. File names do not count.
    """
    shown = [p.refusal.code if p.refusal else [p.blob_sha256, p.source_url] for p in pictures]
    asked = {name: repr(value) for name, value in options.items()}
    return hashlib.sha256(json.dumps([asked, shown], sort_keys=True).encode()).hexdigest()


def earlier(session: Session, *, caller: str, key: str, keep_s: float) -> IdempotencyKey | None:
    """What the caller's key stands for, unless it is unknown or older than `keep_s`."""
    return session.scalar(
        select(IdempotencyKey).where(
            IdempotencyKey.caller == caller,
            IdempotencyKey.key == key,
            IdempotencyKey.created_at >= now_plus(-keep_s),
        )
    )


def take(
    session: Session, *, caller: str, key: str, fingerprint: str, job_id: UUID, keep_s: float
) -> UUID | None:
    """Let the key stand for this job, in the job's own transaction; a key that is too old anew.

    Returns `None` when that is done, or the job of an earlier request with the same content. Raises
    `IdempotencyKeyReuse` when that had another, and `IdempotencyInProgress` when it is not through.
    """
    insert = postgresql.insert if _is_postgres(session) else sqlite.insert
    values = {"fingerprint": fingerprint, "job_id": job_id, "created_at": now()}
    statement = (
        insert(IdempotencyKey)
        .values(caller=caller, key=key, **values)
        .on_conflict_do_update(
            index_elements=[IdempotencyKey.caller, IdempotencyKey.key],
            set_=values,
            where=IdempotencyKey.created_at < now_plus(-keep_s),
        )
        .returning(IdempotencyKey.job_id)
    )
    with _short_wait(session):
        if session.execute(statement).first() is not None:
            return None
    first = session.scalars(
        select(IdempotencyKey).where(IdempotencyKey.caller == caller, IdempotencyKey.key == key)
    ).one()
    return same(first, fingerprint)


def same(first: IdempotencyKey, fingerprint: str) -> UUID:
    """The job of the first request, if this one asks for the same."""
    if first.fingerprint != fingerprint:
        raise IdempotencyKeyReuse(
            "This Idempotency-Key came before, with other pictures or options. Take a new key for "
            "a new request."
        )
    return first.job_id


@contextmanager
def _short_wait(session: Session) -> Iterator[None]:
    if not _is_postgres(session):
        yield
        return
    session.execute(text(f"SET LOCAL lock_timeout = {WAIT_MS}"))
    try:
        yield
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) == LOCK_NOT_AVAILABLE:
            raise IdempotencyInProgress(
                "Another request with this Idempotency-Key is being stored. Send it again shortly."
            ) from error
        raise
    session.execute(text("SET LOCAL lock_timeout TO DEFAULT"))


def _is_postgres(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"
