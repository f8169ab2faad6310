"""Postgres with a bound on every wait: a server that says nothing counts as one that is away.

The server's own time limits hold only while it runs. One that is stopped, or behind a network that
swallows what is sent, never answers: so the waiting side has limits as well.
"""

import select
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from sqlalchemy import Engine, create_engine, event

CONNECT_S = 3
PING_S = 1.0
"""How long a connection from the pool may take to show that it lives."""
FRESH_S = 1.0
"""A connection that the server has answered so lately is not asked whether it lives: it is enough
that nothing has come since, as the end of it would."""
ORPHAN_MS = 30_000
"""After this the server ends a transaction whose client fell silent: it may hold rows."""


class NoAnswer(psycopg.OperationalError):
    """The server could not be reached, or did not answer in time."""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that waits at most `answer_s` for each answer, and is closed after that."""

    answer_s: float
    is_pinged = False
    answered_at = 0.0

    def wait(
        self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None
    ) -> RV:  # what every statement, commit and rollback of psycopg waits in
        """As psycopg's, but bounded. Raises `NoAnswer`."""
        allowed_s = min(PING_S if self.is_pinged else self.answer_s, timeout or self.answer_s)
        since = time.monotonic()
        try:
            answer = super().wait(gen, interval=interval, timeout=allowed_s)
            self.answered_at = time.monotonic()
            return answer
        except psycopg.OperationalError as error:
            if time.monotonic() - since < allowed_s:
                raise
            self.pgconn.finish()  # what the server may still say is no answer to the next question
            raise NoAnswer(f"no answer within {allowed_s:g} s") from error


def postgres_engine(
    url: str, *, answer_s: float, is_away: Callable[[], bool], **pool: Any
) -> Engine:
    """An engine whose connections wait at most `answer_s` for an answer.

    While `is_away` says so no new one is tried: who waited for a place in the pool hears at once.
    """
    engine = create_engine(
        url,
        pool_pre_ping=True,
        hide_parameters=True,  # prompts and captions stay out of logs
        use_native_hstore=False,  # a round trip less before the first answer
        connect_args={
            "connect_timeout": CONNECT_S,
            "application_name": "captioner",
            "options": _server_limits(answer_s),
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 15_000,
        },
        **pool,
    )

    def connect(_dialect: Any, _record: Any, args: Sequence[Any], named: dict[str, Any]) -> Any:
        if is_away():
            raise NoAnswer("the server is known to be away")
        try:
            connection = BoundedConnection.connect(*args, **named)
        except psycopg.OperationalError as error:
            raise NoAnswer(str(error)) from error
        connection.answer_s = answer_s
        return connection

    def ping(connection: Any) -> bool:
        fresh = time.monotonic() - connection.answered_at < FRESH_S
        if fresh and not _has_input(connection.pgconn.socket):
            return True
        connection.is_pinged = True
        try:
            return dialect_ping(connection)
        finally:
            connection.is_pinged = False

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "handle_error", _stale_plans_end_connections)
    dialect_ping = engine.dialect.do_ping
    engine.dialect.do_ping = ping  # type: ignore[method-assign,assignment]
    return engine


def _has_input(socket: int) -> bool:
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    return bool(poll.poll(0))


def _stale_plans_end_connections(context: Any) -> None:
    # Outside of a transaction psycopg goes on using a prepared statement whose table was changed.
    if isinstance(context.original_exception, psycopg.errors.FeatureNotSupported):
        context.is_disconnect = True


def _server_limits(answer_s: float) -> str:
    # Below ours: a server that is only slow says so, and its connection stays good.
    limits = {
        "statement_timeout": int(answer_s * 900),
        "lock_timeout": int(answer_s * 750),
        "idle_in_transaction_session_timeout": ORPHAN_MS,
        "tcp_keepalives_idle": 10,
        "tcp_keepalives_interval": 5,
        "tcp_keepalives_count": 3,
    }
    return " ".join(f"-c {name}={value}" for name, value in limits.items())
