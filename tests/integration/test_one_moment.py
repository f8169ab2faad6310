"""What is read of a job by several statements is of one moment, whatever happens between them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event

from api.app import create_app
from captioner import jobs
from captioner.database import Database
from captioner.errors import CaptionFailed
from captioner.services import Services
from captioner.work import Outcome
from tests.integration.conftest import settings_of
from tests.integration.rows import claim
from tests.stacks import Stack

Meanwhile = Callable[..., Any]
READS = {
    "/captionImage/{}": "FROM job_images",
    "/captionImage?id={}": "FROM job_images",
    "/captionImage/{}/events": "job_images.event_seq >",
}
"""Paths, and words of the statement that reads the images."""


@pytest.fixture
def client(stack: Stack) -> Iterator[tuple[FlaskClient, Meanwhile]]:
    """A client, and what lets something happen before a statement with these words is run."""
    services = Services(settings_of(stack))

    @contextmanager
    def meanwhile(happens: Callable[[], object], *, before: str) -> Iterator[list[bool]]:
        done: list[bool] = []

        def between(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if before in statement and not done:
                done.append(True)
                happens()

        event.listen(services.database.engine, "before_cursor_execute", between)
        yield done
        event.remove(services.database.engine, "before_cursor_execute", between)

    yield create_app(services).test_client(), meanwhile
    services.close()


def test_a_job_that_is_deleted_meanwhile_is_read_with_its_images(
    client: Any, database: Database, make: Callable[..., UUID]
) -> None:
    browser, meanwhile = client
    for path, words in READS.items():
        job_id = ended(database, make(2))
        with meanwhile(partial(delete, database, job_id), before=words) as happened:
            answer = browser.get(path.format(job_id))
            text = answer.get_data(as_text=True)
        assert happened, path
        assert answer.status_code == 200
        assert text.count("a dog") >= 2, (path, text)
        assert browser.get(f"/captionImage/{job_id}").status_code == 410


def test_a_job_that_is_retried_meanwhile_is_not_final_with_images_in_line(
    client: Any, database: Database, make: Callable[..., UUID]
) -> None:
    browser, meanwhile = client
    job_id = ended(database, make(2), fails=True)

    def retry() -> None:
        with database.write() as session:
            jobs.retry(session, job_id)

    with meanwhile(retry, before="FROM job_images") as happened:
        seen = browser.get(f"/captionImage/{job_id}").json
    assert happened
    assert seen["status"] == "failed"
    assert {image["status"] for image in seen["images"]} == {"failed"}
    assert browser.get(f"/captionImage/{job_id}").json["status"] == "queued"


def ended(database: Database, job_id: UUID, *, fails: bool = False) -> UUID:
    error = CaptionFailed("no") if fails else None
    with database.write() as session:
        claims = claim(session, job_id, 0, 1)
        jobs.finish(session, [Outcome(each, caption="a dog", error=error) for each in claims])
    return job_id


def delete(database: Database, job_id: UUID) -> None:
    with database.write() as session:
        jobs.delete_job(session, job_id)
