"""`captioner keys`: the API keys that callers show."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from captioner.database import Database
    from models import ApiKey

SCOPES = ("submit", "read", "admin")
UNITS = {"h": "hours", "d": "days", "w": "weeks"}


@click.group()
def keys() -> None:
    """Make, list and revoke the keys that callers of the API show.

    They are kept in the database, CAPTIONER_DATABASE_URL or the one in CAPTIONER_DATA_DIR, as
    digests: a key is shown once, when it is made. Whether keys are asked for says CAPTIONER_AUTH.

    \b
    Examples:
      captioner keys create --owner alice --scope submit --scope read --expires 90d
      curl -H "Authorization: Bearer $KEY" http://host:8000/captionImage
      captioner keys list
      captioner keys revoke cap_4kT9bQ2x
    """


@keys.command()
@click.option("--owner", required=True, metavar="NAME", help="Whose jobs its jobs are.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(SCOPES),
    help="What it allows; repeat it. admin: all, for every owner's jobs.",
)
@click.option("--expires", metavar="WHEN", help="12h, 90d, 4w, or a date such as 2030-12-31.")
@click.option("--note", metavar="TEXT", help="For people, in the list.")
def create(owner: str, scopes: tuple[str, ...], expires: str | None, note: str | None) -> None:
    """Make a key and print it, this once. Everything else goes to standard error."""
    from captioner.access import book
    from models import Scope

    expires_at = None if expires is None else _instant(expires)
    database = _database()
    with database.write() as session:
        row, key = book.create(
            session,
            owner=owner,
            scopes={Scope(scope) for scope in scopes},
            expires_at=expires_at,
            note=note,
        )
        ends = f", until {_shown(row.expires_at)}" if row.expires_at else ""
        about = f"{row.prefix} for {row.owner} ({row.scopes}){ends}"
    click.echo(f"Made {about}. It cannot be shown again:", err=True)
    click.echo(key)


@keys.command("list")
@click.option("--owner", metavar="NAME", help="Only this owner's.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON, one key a line.")
def list_(owner: str | None, as_json: bool) -> None:
    """List keys by their beginnings, oldest first, revoked and expired ones too.

    With tabs between: beginning, owner, scopes, state, time of creation, end, last use (to the
    hour), note.
    """
    from captioner.access import book

    with _database().read() as session:
        for row in book.listed(session, owner=owner):
            click.echo(_json(row) if as_json else "\t".join(_cells(row)))


@keys.command()
@click.argument("prefixes", metavar="PREFIX...", nargs=-1, required=True)
def revoke(prefixes: tuple[str, ...]) -> None:
    """Revoke keys by their beginnings, such as cap_4kT9bQ2x. It holds within five seconds."""
    from captioner.access import book

    missing = False
    with _database().write() as session:
        for prefix in prefixes:
            row = book.revoke(session, prefix)
            missing = missing or row is None
            said = "there is no such key" if row is None else f"revoked {_shown(row.revoked_at)}"
            click.echo(f"{prefix[:12]}\t{said}", err=row is None)
    if missing:
        raise SystemExit(1)


def _database() -> "Database":
    from captioner.database import Database
    from cli.environment import configure

    return Database(configure().database)


def _instant(text: str) -> datetime:
    later = re.fullmatch(r"([1-9][0-9]{0,4})([hdw])", text)
    if later:
        return datetime.now(UTC) + timedelta(**{UNITS[later[2]]: int(later[1])})
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(
            f"--expires {text!r} is neither a time such as 12h, 90d or 4w nor a date."
        ) from None
    return given if given.tzinfo else given.replace(tzinfo=UTC)


def _state(row: "ApiKey") -> str:
    if row.revoked_at is not None:
        return "revoked"
    expired = row.expires_at is not None and row.expires_at <= datetime.now(UTC)
    return "expired" if expired else "active"


def _cells(row: "ApiKey") -> list[str]:
    times = (row.created_at, row.expires_at, row.last_used_at)
    note = " ".join((row.note or "").split())
    return [row.prefix, row.owner, row.scopes, _state(row), *map(_shown, times), note]


def _json(row: "ApiKey") -> str:
    from cli.escape import json_line

    times = ("created_at", "expires_at", "revoked_at", "last_used_at")
    return json_line(
        {
            "prefix": row.prefix,
            "owner": row.owner,
            "scopes": row.scopes.split(","),
            "state": _state(row),
            "note": row.note,
            **{name: instant and instant.isoformat() for name in times
               for instant in [getattr(row, name)]},
        }
    )  # fmt: skip


def _shown(instant: datetime | None) -> str:
    return "-" if instant is None else f"{instant:%Y-%m-%d %H:%M}"
