"""The services that the contracts are held against: those of the integration tests."""

from tests.integration.conftest import database, http, service, stack

__all__ = ["database", "http", "service", "stack"]
