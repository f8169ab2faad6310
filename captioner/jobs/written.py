"""Outcomes of many images are written by one statement, as rows of one parameter."""

import json
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, String, Update, bindparam, case, cast, column, func, select, update
from sqlalchemy.orm import Session

from captioner.clock import now
from models import ImageState, JobImage

Row = Mapping[str, object]
"""What is written of one image: its `KEY`, and all of `SAID`."""
KEY = ("job_id", "position")
SAID = (
    "state", "styler", "caption", "score", "others", "retried_for", "tags", "flagged", "error_code",
    "error_detail", "model_revision", "decode_ms", "wait_ms", "infer_ms", "batch_size",
    "event_seq",
)  # fmt: skip


def write(session: Session, rows: Iterable[Row]) -> None:
    """Write them to images that are locked by this transaction."""
    statement = _STORE[session.get_bind().dialect.name]
    given = json.dumps(list(rows), default=_hex, allow_nan=False)
    session.connection().execute(statement, {"rows": given})


def _hex(job_id: UUID) -> str:
    return job_id.hex


def _storing(said: Any) -> Update:
    to_style = said.state == ImageState.STYLING.value
    return (
        update(JobImage)
        .where(JobImage.job_id == said.job_id, JobImage.position == said.position)
        .values(
            lease_until=None,
            lost=case((to_style, 0), else_=JobImage.lost),  # they were of captioning
            published_at=case((to_style, now()), else_=JobImage.published_at),
            finished_at=case((to_style, None), else_=now()),
            **{name: said[name] for name in SAID},
        )
    )


def _on_postgres() -> Any:
    types = {name: JobImage.__table__.c[name].type for name in (*KEY, *SAID)}
    rows = func.json_to_recordset(cast(bindparam("rows", type_=String), JSON))
    columns = (column(name, type_) for name, type_ in types.items())
    return rows.table_valued(*columns).render_derived(name="said", with_types=True).c


def _on_sqlite() -> Any:
    row = func.json_each(bindparam("rows", type_=String)).table_valued("value").c.value
    columns = (func.json_extract(row, f"$.{name}").label(name) for name in (*KEY, *SAID))
    return select(*columns).subquery("said").c


_STORE = {"postgresql": _storing(_on_postgres()), "sqlite": _storing(_on_sqlite())}
"""Made once: to make one costs more than to run it."""
