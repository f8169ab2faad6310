"""An empty database for each test, for tests that count what is there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from captioner.database import Database
from tests.empty import emptied
from tests.stacks import Stack


@pytest.fixture
def own(stack: Stack, tmp_path: Path) -> Iterator[Stack]:
    with emptied(stack, tmp_path) as emptied_stack:
        yield emptied_stack


@pytest.fixture
def database(own: Stack) -> Iterator[Database]:
    opened = Database(own.database_url)
    yield opened
    opened.close()
