"""That a receiver wants no more is forgotten in its time, not before."""

from pathlib import Path

from sqlalchemy import select
from uuid_utils.compat import uuid7

from captioner.blobs import BlobStore
from captioner.cleaning import Cleaner
from captioner.clock import now_plus
from captioner.webhooks import endpoints
from models import WebhookEndpoint
from tests.integration.conftest import settings_of


def test_a_receiver_that_said_410_is_asked_again_once_that_is_long_ago(
    stack, database, tmp_path: Path
) -> None:
    settings = settings_of(stack, blob_url=f"file://{tmp_path}", keep_deleted_s=3600)
    caller = str(uuid7())
    with database.write() as session:
        for minutes in (59, 61):
            url = f"https://example.org/{minutes}"
            endpoints.disable(session, caller=caller, url=url, reason="410")
            row = session.scalars(
                select(WebhookEndpoint).where(
                    WebhookEndpoint.caller == caller,
                    WebhookEndpoint.url_sha256 == endpoints._hash(url),
                )
            ).one()
            row.disabled_at = now_plus(-60 * minutes)
    Cleaner(settings, database, BlobStore(settings.blobs)).turn()
    with database.read() as session:
        left = {
            minutes
            for minutes in (59, 61)
            if endpoints.is_disabled(session, caller=caller, url=f"https://example.org/{minutes}")
        }
    assert left == {59}
