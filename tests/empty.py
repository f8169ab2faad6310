"""A database of its own on a stack's server, for tests that count what is there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from captioner import schema
from tests.integration.conftest import settings_of
from tests.stacks import Stack, fresh


@contextmanager
def emptied(stack: Stack, folder: Path) -> Iterator[Stack]:
    """The same stack with an empty database, for the length of the block."""
    with fresh(stack, folder) as url:
        own = Stack(stack.name, {**stack.environment, "CAPTIONER_DATABASE_URL": url})
        schema.upgrade(settings_of(own))
        yield own
