"""What is written down with a job's change of state, once for each kind and run."""

import json
from contextlib import suppress

from sqlalchemy import select

from captioner import jobs
from captioner.errors import CaptionFailed
from captioner.options import Options
from captioner.webhooks import outbox
from captioner.work import Hook, Outcome
from models import DeliveryState, Job, JobState, WebhookAttempt, WebhookDelivery, WebhookKind
from tests.integration import rows
from tests.integration.webhooks.sending import end, logged, only

URL = "https://receiver.example/hook"
BOTH = Hook(URL, tuple(WebhookKind))


class PowerCutError(Exception):
    """Before the commit."""


def kinds(database, job_id) -> list[tuple[str, int]]:
    return [(each.delivery.kind, each.delivery.run) for each in logged(database, job_id)]


def test_a_job_that_asked_for_both_gets_one_of_each(database, make) -> None:
    job_id = make(1, webhook=BOTH)
    assert kinds(database, job_id) == []
    end(database, job_id)
    assert kinds(database, job_id) == [("job.started", 1), ("job.finished", 1)]


def test_a_job_gets_what_it_asked_for_and_no_more(database, make) -> None:
    silent, finished = make(1), make(1, webhook=Hook(URL))
    end(database, silent)
    end(database, finished)
    assert kinds(database, silent) == []
    assert kinds(database, finished) == [("job.finished", 1)]


def test_a_change_that_is_rolled_back_leaves_no_webhook(database, make) -> None:
    job_id = make(1, webhook=BOTH)
    with suppress(PowerCutError), database.write() as session:
        assert rows.claim(session, job_id, 0)
        raise PowerCutError
    assert kinds(database, job_id) == []
    assert rows.state(database, job_id) == JobState.QUEUED


def test_noting_the_same_twice_makes_one(database, make) -> None:
    job_id = make(1, webhook=BOTH)
    end(database, job_id)
    with database.write() as session:
        outbox.note(session, job_id, WebhookKind.JOB_FINISHED)
    assert kinds(database, job_id) == [("job.started", 1), ("job.finished", 1)]


def test_the_images_of_a_job_make_one_start_and_one_end(database, make) -> None:
    job_id = make(3, webhook=BOTH)
    for _ in range(3):
        end(database, job_id)
    assert kinds(database, job_id) == [("job.started", 1), ("job.finished", 1)]


def test_a_late_result_tells_nothing(database, make) -> None:
    job_id = make(1, webhook=BOTH)
    with database.write() as session:
        (late,) = rows.claim(session, job_id, 0)
    rows.expire(database, job_id)
    with database.write() as session:
        jobs.take_back_expired(session, max_attempts=3)
        (current,) = rows.claim(session, job_id, 0, again=True)
    for claim in (current, late):
        with database.write() as session:
            jobs.finish(session, [Outcome(claim, caption="a star")])
    assert kinds(database, job_id) == [("job.started", 1), ("job.finished", 1)]


def test_a_retry_is_another_run_and_tells_again(database, make) -> None:
    job_id = make(1, webhook=BOTH)
    with database.write() as session:
        claims = rows.claim(session, job_id, 0)
        jobs.finish(session, [Outcome(claims[0], error=CaptionFailed("no words"))])
        jobs.retry(session, job_id)
    end(database, job_id)
    assert kinds(database, job_id) == [
        ("job.started", 1),
        ("job.finished", 1),
        ("job.started", 2),
        ("job.finished", 2),
    ]
    said = [json.loads(each.delivery.body)["data"] for each in logged(database, job_id)]
    assert [data["status"] for data in said] == ["running", "failed", "running", "succeeded"]
    assert [data["run"] for data in said] == [1, 1, 2, 2]


def test_a_canceled_job_tells_that_it_has_ended(database, make) -> None:
    job_id = make(2, webhook=BOTH)
    with database.write() as session:
        jobs.cancel(session, job_id)
    found = only(database, job_id).delivery
    assert found.kind == WebhookKind.JOB_FINISHED
    assert json.loads(found.body)["data"]["status"] == "canceled"


def test_the_body_tells_the_job_as_it_was(database, make) -> None:
    job_id = make(3, refused=1, webhook=Hook(URL))
    end(database, job_id, caption="zwei gelbe Bäume")
    with database.write() as session:
        (claim,) = rows.claim(session, job_id, 1)
        jobs.finish(session, [Outcome(claim, error=CaptionFailed("no words"))])
    body = only(database, job_id).delivery.body
    assert ": " not in body.replace("no words", "")  # compact
    said = json.loads(body)
    data = said["data"]
    assert set(said) == {"type", "timestamp", "data"}
    assert said["type"] == "job.finished"
    assert said["timestamp"] == data["finished_at"]
    assert said["timestamp"].endswith("Z")
    assert data["id"] == str(job_id)
    assert data["status"] == "partial"
    assert data["result"] == ["zwei gelbe Bäume", None, None]
    assert [(fault["index"], fault["code"]) for fault in data["errors"]] == [
        (1, "caption_failed"),
        (2, "image_truncated"),
    ]
    assert data["counts"] == {
        "total": 3,
        "succeeded": 1,
        "failed": 2,
        "canceled": 0,
        "unfinished": 0,
    }
    assert data["urls"] == {"self": f"/captionImage/{job_id}"}


def test_the_body_tells_tags_and_flags_where_they_were_asked_for(database, make) -> None:
    def told(**asked: object) -> dict:
        job_id = make(2, refused=1, webhook=Hook(URL), options=Options(**asked))
        with database.write() as session:
            (claim,) = rows.claim(session, job_id, 0)
            said = Outcome(claim, caption="a red star", tags=("red", "star"), flagged=False)
            jobs.finish(session, [said])
        return json.loads(only(database, job_id).delivery.body)["data"]

    plain = told()
    assert not {"tags", "flagged"} & set(plain)
    tagged, flagged = {"tags": [["red", "star"], None]}, {"flagged": [False, None]}
    for asked, more in (
        ({"tags": True}, tagged),
        ({"flag": "Is it red?"}, flagged),
        ({"tags": True, "flag": "Is it red?"}, tagged | flagged),
    ):
        data = told(**asked)
        assert set(data) == set(plain) | set(more)
        assert {name: data[name] for name in more} == more
        assert data["result"] == ["a red star", None]


def test_what_is_noted_goes_with_its_job(database, make) -> None:
    job_id = make(1, webhook=Hook(URL))
    end(database, job_id)
    found = only(database, job_id).delivery
    assert found.state == DeliveryState.PENDING
    with database.write() as session:
        session.add(WebhookAttempt(delivery_id=found.id, number=1, at=found.created_at))
        session.flush()
        session.delete(session.get(Job, job_id))
    with database.read() as session:
        assert session.get(WebhookDelivery, found.id) is None
        kept = session.scalars(select(WebhookAttempt).where(WebhookAttempt.delivery_id == found.id))
        assert kept.all() == []
