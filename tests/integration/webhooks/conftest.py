"""A sender, and jobs whose end it tells."""

import pytest
from sqlalchemy import delete

from captioner.work import Hook
from models import WebhookEndpoint
from tests.integration.webhooks.sending import (
    end,
    sender_of,
    webhook_settings,
)


@pytest.fixture
def settings(stack):
    return webhook_settings(stack)


@pytest.fixture
def sender(settings, database):
    return sender_of(settings, database)


@pytest.fixture
def ended(database, make):
    """A job that has ended, and whose end is to be told to a URL."""

    def made(url: str):
        job_id = make(1, webhook=Hook(url))
        end(database, job_id)
        return job_id

    return made


@pytest.fixture(autouse=True)
def _no_endpoint_is_left(database):
    yield
    with database.write() as session:
        session.execute(delete(WebhookEndpoint))
