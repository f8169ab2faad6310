"""A great many jobs, written by the database itself: for looks at how long looking takes."""

from collections.abc import Callable
from uuid import UUID

from sqlalchemy import NullPool, create_engine, event, text
from sqlalchemy.orm import Session

from captioner import results
from captioner.database import Database
from models import ResultTally

BEGAN_MS = 1_760_000_000_000
"""The time of the first job. Each is a second after the one before."""
TAIL = "70008000000000000000"
HALF = "half"
"""The owner of every other ten jobs in twenty, none of which failed; ten others have the rest."""
STATES = (
    "CASE WHEN i > :jobs - 150 THEN 'queued' WHEN i > :jobs - 200 THEN 'running'"
    " WHEN i % 100 = 0 THEN 'failed' WHEN i % 250 = 1 THEN 'canceled' ELSE 'succeeded' END"
)
POSTGRES = {
    "series": "FROM generate_series(1, :jobs) AS of(i)",
    "id": f"(lpad(to_hex({BEGAN_MS} + i::bigint * 1000), 12, '0') || '{TAIL}')::uuid",
    "at": f"to_timestamp({BEGAN_MS // 1000} + i)",
}
SQLITE = {
    "series": "FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
    " WHERE i < :jobs) SELECT i FROM n)",
    "id": f"printf('%012x{TAIL}', {BEGAN_MS} + i * 1000)",
    "at": f"strftime('%Y-%m-%d %H:%M:%f000', {BEGAN_MS // 1000} + i, 'unixepoch')",
}
JOBS = """
INSERT INTO jobs (id, state, model, image_count, succeeded_count, failed_count, canceled_count,
                  created_at, started_at, finished_at, owner, priority, stored, event_seq, run)
SELECT {id}, s, 'scenes', 1, CASE s WHEN 'succeeded' THEN 1 ELSE 0 END,
       CASE s WHEN 'failed' THEN 1 ELSE 0 END, CASE s WHEN 'canceled' THEN 1 ELSE 0 END,
       {at}, {at}, CASE WHEN s IN ('queued', 'running') THEN NULL ELSE {at} END,
       CASE WHEN i % 20 >= 10 THEN 'half' ELSE 'owner-' || (i % 20) END, 1, true, 2, 1
FROM (SELECT i, {states} AS s {series}) AS drawn
"""
IMAGES = """
INSERT INTO job_images (job_id, position, file_name, state, model, rank, caption, error_code,
                        attempt, lost, fetch_failures, lease_until, started_at, finished_at,
                        event_seq, decode_ms, wait_ms, infer_ms, batch_size, cached)
SELECT id, 0, 'holiday-' || owner || '.jpg', state, model, 0,
       CASE state WHEN 'succeeded' THEN 'a red star on a white background' END,
       CASE state WHEN 'failed' THEN 'image_truncated' END, 1, 0, 0,
       CASE state WHEN 'running' THEN created_at END, started_at, finished_at, 1,
       11.5, 3.25, 140.0, 4, false
FROM jobs ORDER BY id
"""
DETAILS = """
INSERT INTO image_details (job_id, owner, format, mode, bytes, width, height)
SELECT id, owner, 'JPEG', 'RGB', 48213, 1600, 1200 FROM jobs ORDER BY id
"""


def id_of(number: int) -> UUID:
    """The id of a job: 1 is the oldest."""
    return UUID(f"{BEGAN_MS + number * 1000:012x}{TAIL}")


def fill(url: str, jobs: int) -> None:
    """Write so many jobs of one image each, all of them images of the pipeline, into an empty
    database; and as many parts of the counts of results as there can be.
    """
    engine = create_engine(url, poolclass=NullPool)  # one that waits
    on_postgres = engine.dialect.name == "postgresql"
    words = {**(POSTGRES if on_postgres else SQLITE), "states": STATES}
    with Session(engine) as session, session.begin():
        if on_postgres:  # its rows fit together: no need to look at each
            session.execute(text("SET LOCAL session_replication_role = replica"))
        session.execute(text(JOBS.format(**words)), {"jobs": jobs})
        session.execute(text(IMAGES))
        session.execute(text(DETAILS))
        session.add_all(
            ResultTally(shard=shard, state=state.value, bucket=bucket, images=50, seconds=1.0)
            for shard in range(results.SHARDS)
            for state in results.ENDED
            for bucket in range(results.LAST + 1)
        )
    with Session(engine) as session, session.begin():
        results.recount(session)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE" if on_postgres else "ANALYZE"))


def plans(database: Database, look: Callable[[], object], *, measured: bool = False) -> list[str]:
    """How the database goes about each statement of a look. `measured`: and how long it took."""
    heard: list[tuple[str, object]] = []

    def hear(_connection, _cursor, statement: str, parameters: object, *_rest: object) -> None:
        if statement.lstrip().startswith("SELECT"):
            heard.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", hear)
    try:
        look()
    finally:
        event.remove(database.engine, "before_cursor_execute", hear)
    on_postgres = database.engine.dialect.name == "postgresql"
    options = "(ANALYZE, BUFFERS) " if measured else ""
    explain = f"EXPLAIN {options}" if on_postgres else "EXPLAIN QUERY PLAN "
    found = []
    with database.read() as session:
        for statement, parameters in heard:
            rows = session.connection().exec_driver_sql(explain + statement, parameters)
            found.append("\n".join(str(row[-1]) for row in rows))
    return found
