"""The database's own clock, as SQL, so that a skewed worker clock changes nothing."""

from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Float, bindparam, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from models.base import UtcDateTime


class _Instant(GenericFunction[Any]):
    """Now plus some seconds. One argument: the seconds, which may be negative."""

    type = UtcDateTime()
    name = "captioner_instant"
    inherit_cache = True


@compiles(_Instant, "postgresql")
def _on_postgres(element: _Instant, compiler: SQLCompiler, **kw: Any) -> str:
    return f"(clock_timestamp() + make_interval(secs => {compiler.process(element.clauses, **kw)}))"


@compiles(_Instant, "sqlite")
def _on_sqlite(element: _Instant, compiler: SQLCompiler, **kw: Any) -> str:
    seconds = compiler.process(element.clauses, **kw)
    return (
        f"strftime('%Y-%m-%d %H:%M:%f000', 'now', printf('%+.3f seconds', CAST({seconds} AS REAL)))"
    )


def written(instant: datetime) -> str:
    """An instant in UTC, as it stands in every answer and webhook (RFC 3339)."""
    return instant.isoformat().replace("+00:00", "Z")


def at(session: Session) -> datetime:
    """The moment at which this is asked, by the database's clock."""
    moment: datetime = session.scalars(_NOW).one()
    return moment


def now() -> ColumnElement[Any]:
    """The moment at which the statement runs."""
    return now_plus(0.0)


def now_plus(seconds: float | BindParameter[float]) -> ColumnElement[Any]:
    """That moment, some seconds later (or earlier, when negative)."""
    if isinstance(seconds, BindParameter):
        return _Instant(seconds)
    return _Instant(bindparam(None, float(seconds), type_=Float()))


_NOW = select(now())
