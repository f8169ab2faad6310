"""A stack alone, for modules to which the kind of database and broker makes no difference."""

from collections.abc import Iterator

import pytest

from captioner import schema
from tests import stacks
from tests.integration.conftest import settings_of


@pytest.fixture(scope="module", params=stacks.NAMES[:1])
def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[stacks.Stack]:
    """The first of those that the run is for, empty."""
    with stacks.started(request.param, tmp_path_factory.mktemp(request.param)) as started:
        schema.upgrade(settings_of(started))
        yield started
