"""Counts every connection that this process tries to open, whoever listens there."""

import sys
from collections.abc import Iterator

import pytest

_ATTEMPTS: list[object] = []


def _note(event: str, args: tuple) -> None:
    if event == "socket.connect":
        _ATTEMPTS.append(args[1])


sys.addaudithook(_note)


@pytest.fixture
def attempts() -> Iterator[list[object]]:
    """Addresses that were connected to, or tried, while the test ran."""
    _ATTEMPTS.clear()
    yield _ATTEMPTS
    _ATTEMPTS.clear()
