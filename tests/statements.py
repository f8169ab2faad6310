"""What is asked of a database."""

from collections.abc import Callable

from sqlalchemy import event

from captioner.database import Database


def statements(database: Database, work: Callable[[], object]) -> list[str]:
    """What is sent to the database meanwhile."""
    found: list[str] = []

    def heard(_connection, _cursor, statement, *_rest) -> None:
        found.append(statement)

    event.listen(database.engine, "before_cursor_execute", heard)
    try:
        work()
    finally:
        event.remove(database.engine, "before_cursor_execute", heard)
    return found
