"""The stacks of the integration tests, for tests of abuse; each names the row of the matrix."""

from tests.integration.conftest import database, make, stack

__all__ = ["database", "make", "stack"]
