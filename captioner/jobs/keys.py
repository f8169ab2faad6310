"""Many images named in one parameter: a statement is made once, and one does for all of them.

A list of values for an `IN` makes another text for each length, and a statement for each image is
sent and planned for each. Both took longer than the change itself.
"""

import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, ColumnElement, String, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

Key = tuple[UUID, int]
"""An image: its job, and its position there."""


class _Row(FunctionElement[Any]):
    """What tells a row of `job_images` from the others."""

    name = "captioner_row"
    inherit_cache = True


class _Rows(FunctionElement[Any]):
    """The same of each key in a list as `listed` writes it."""

    name = "captioner_rows"
    inherit_cache = True


@compiles(_Row, "postgresql")
def _row_on_postgres(*_: Any, **__: Any) -> str:
    return "(job_images.job_id, job_images.position)"


@compiles(_Row, "sqlite")
def _row_on_sqlite(*_: Any, **__: Any) -> str:
    return "job_images.rowid"


@compiles(_Rows, "postgresql")
def _rows_on_postgres(element: _Rows, compiler: SQLCompiler, **kw: Any) -> str:
    keys = compiler.process(element.clauses, **kw)
    row = "CAST(value ->> 0 AS uuid), CAST(value ->> 1 AS integer)"
    return f"(SELECT {row} FROM json_array_elements(CAST({keys} AS json)))"  # noqa: S608


@compiles(_Rows, "sqlite")
def _rows_on_sqlite(element: _Rows, compiler: SQLCompiler, **kw: Any) -> str:
    # Of a pair, SQLite looks up the job alone, and then through all of its images.
    keys = compiler.process(element.clauses, **kw)
    return (
        f"(SELECT i.rowid FROM json_each({keys}) AS k"  # noqa: S608 - a parameter's name
        " CROSS JOIN job_images AS i WHERE i.job_id = json_extract(k.value, '$[0]')"
        " AND i.position = json_extract(k.value, '$[1]'))"
    )


def named(keys: str = "keys") -> ColumnElement[bool]:
    """The condition that an image is one of those in the parameter of that name.

    Best on its own: SQLite may prefer the index of another condition, which finds more.
    """
    given: BindParameter[str] = bindparam(keys, type_=String)
    return _Row().bool_op("IN")(_Rows(given))


def listed(keys: Iterable[Key]) -> str:
    """The value of that parameter."""
    return json.dumps([(job_id.hex, position) for job_id, position in keys])
