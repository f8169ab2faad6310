"""What a chore raises is told in as many lines as it deserves."""

import logging

import pytest
from kombu import Connection

from worker.keeper import safely


def ask_a_broker_that_is_away() -> None:
    away = Connection("redis://127.0.0.1:1/0", connect_timeout=1)
    with away as connection, connection.channel() as channel:
        channel.queue_declare("x", passive=True)


def ask_a_rabbit_that_is_away() -> None:
    with Connection("amqp://127.0.0.1:1//", connect_timeout=1) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0)


@pytest.mark.parametrize("ask", [ask_a_broker_that_is_away, ask_a_rabbit_that_is_away])
def test_a_broker_that_is_away_is_one_line_and_its_trace_is_for_debugging(caplog, ask) -> None:
    caplog.set_level(logging.INFO, "worker.keeper")
    safely(ask, "reconciler")
    caplog.set_level(logging.DEBUG, "worker.keeper")
    safely(ask, "reconciler")
    brief, whole = caplog.records

    assert brief.levelname == whole.levelname == "WARNING"
    assert brief.getMessage().startswith("reconciler: the broker is away (")
    assert not brief.exc_info
    assert whole.exc_info


def test_what_nobody_expected_has_its_trace(caplog) -> None:
    safely(lambda: 1 / 0, "chore")

    assert caplog.records[0].exc_info
    assert caplog.records[0].levelname == "ERROR"
