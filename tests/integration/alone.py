"""A database and folders for one module alone, for tests that count what is there."""

from collections.abc import Iterator

import pytest

from captioner import schema
from tests.integration.conftest import settings_of
from tests.stacks import Stack, fresh


@pytest.fixture(scope="module")
def stack(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, with a database and folders that no other module writes to."""
    folder = tmp_path_factory.mktemp("alone")
    with fresh(stack, folder) as url:
        places = {"CAPTIONER_DATABASE_URL": url, "CAPTIONER_DATA_DIR": str(folder)}
        own = Stack(stack.name, {**stack.environment, **places})
        schema.upgrade(settings_of(own))
        yield own
