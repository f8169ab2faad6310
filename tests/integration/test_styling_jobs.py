"""Images that get styles, as rows: every way leads to success, with styles or without."""

import time
from uuid import UUID

import pytest
from sqlalchemy import update
from uuid_utils.compat import uuid7

from captioner import jobs, queries
from captioner.broker import sending_app
from captioner.clock import now, now_plus
from captioner.database import Database
from captioner.errors import StylerBlocked
from captioner.publishing import Publisher
from captioner.styles import Style, Styler, Styling
from captioner.wakeups import Herald, connect
from captioner.work import Claim, Outcome, StyleOutcome
from models import ImageState, JobImage, JobState, Worker
from tests.integration.conftest import settings_of
from tests.integration.rows import claim, state
from tests.processes import until
from tests.stacks import Stack
from worker.reconciler import Reconciler

WISH = Styling(styles=(Style.POETIC,), count=1, styler=Styler.OPENAI)
STYLED = ((Style.POETIC, ("a line",)),)


@pytest.fixture
def captioned(make, database: Database):
    """A job whose images have their captions, and wait for their styler."""

    def made(images: int = 1, **order: object) -> UUID:
        job_id = make(images, styling=WISH, **order)
        with database.write() as session:
            claims = claim(session, job_id, *range(images))
            jobs.finish(session, [Outcome(each, caption="plain") for each in claims])
        return job_id

    return made


def to_style(database: Database, job_id: UUID) -> list[Claim]:
    with database.write() as session:
        taken = jobs.claim_to_style(
            session, stylers=[Styler.OPENAI], limit=100, worker="w", lease_s=60
        )
        jobs.release(session, [each for each in taken if each.job_id != job_id])
    return [each for each in taken if each.job_id == job_id]


def finish(database: Database, *outcomes: StyleOutcome) -> dict:
    with database.write() as session:
        return jobs.finish_styling(session, outcomes)


def take_back(database: Database, *absent: Styler) -> dict:
    with database.write() as session:
        return jobs.take_back_styling(session, max_attempts=3, absent=absent, wait_s=600)


def change(database: Database, job_id: UUID, **values: object) -> None:
    with database.write() as session:
        session.execute(update(JobImage).where(JobImage.job_id == job_id).values(**values))


def images(database: Database, job_id: UUID) -> list[JobImage]:
    with database.read() as session:
        found = queries.job(session, job_id)
        assert found is not None
        return list(found.images)


def test_an_image_is_styling_until_its_styles_are_stored(captioned, database: Database) -> None:
    job_id = captioned(2)
    assert state(database, job_id) is JobState.RUNNING
    assert {image.state for image in images(database, job_id)} == {ImageState.STYLING}
    first, second = to_style(database, job_id)
    assert (first.caption, first.styling, first.blob_sha256) == ("plain", WISH, None)
    assert to_style(database, job_id) == []
    finish(database, StyleOutcome(first, styled=STYLED))
    finish(database, StyleOutcome(second, warning=StylerBlocked("no")))
    assert state(database, job_id) is JobState.SUCCEEDED
    styled, plain = images(database, job_id)
    assert (styled.style_status, styled.styled) == ("styled", '[["Poetic", ["a line"]]]')
    assert (plain.style_status, plain.styled, plain.style_code) == (
        "fallback", None, "styler_blocked",
    )  # fmt: skip
    assert [image.event_seq for image in (styled, plain)] == [2, 3]
    assert {image.caption for image in (styled, plain)} == {"plain"}


def test_a_late_result_changes_nothing(captioned, database: Database) -> None:
    job_id = captioned()
    (late,) = to_style(database, job_id)
    change(database, job_id, lease_until=now_plus(-1))
    take_back(database)
    (again,) = to_style(database, job_id)
    assert again.attempt == late.attempt + 1
    assert finish(database, StyleOutcome(late, warning=StylerBlocked("late"))) == {}
    finish(database, StyleOutcome(again, styled=STYLED))
    assert finish(database, StyleOutcome(late, warning=StylerBlocked("late"))) == {}
    assert images(database, job_id)[0].style_status == "styled"


def test_after_too_many_lost_workers_it_is_plain(captioned, database: Database) -> None:
    job_id = captioned()
    for left in (2, 1, 0):
        assert len(to_style(database, job_id)) == 1
        change(database, job_id, lease_until=now_plus(-1))
        take_back(database)
        assert (state(database, job_id) is JobState.SUCCEEDED) == (left == 0)
    assert images(database, job_id)[0].style_code == "worker_lost"


def test_what_waits_for_long_for_a_styler_that_nobody_has_is_plain(
    captioned, database: Database
) -> None:
    job_id = captioned()
    take_back(database, Styler.OPENAI)
    assert state(database, job_id) is JobState.RUNNING
    change(database, job_id, published_at=now_plus(-601))
    assert take_back(database, Styler.OPENAI)[job_id] is JobState.SUCCEEDED
    assert images(database, job_id)[0].style_code == "styler_unavailable"


def test_a_backlog_may_take_longer_than_that_while_somebody_has_the_styler(
    captioned, database: Database
) -> None:
    job_id = captioned()
    change(database, job_id, published_at=now_plus(-100_000))
    assert take_back(database, Styler.GEMINI, Styler.LOCAL) == {}
    (waiting,) = to_style(database, job_id)
    finish(database, StyleOutcome(waiting, styled=STYLED))
    assert images(database, job_id)[0].style_status == "styled"


def test_the_wait_begins_when_the_last_worker_with_the_styler_went(
    captioned, database: Database, stack: Stack
) -> None:
    settings = settings_of(stack, retry_s=1, reconcile_s=0.5, heartbeat_s=0.5)
    publisher = Publisher(sending_app(settings), on_failure=lambda parcel: None, size=16)
    reconciler = Reconciler(settings, database, publisher, Herald(connect(settings.redis_url)))
    job_id, worker = captioned(), uuid7()
    change(database, job_id, styler="local", published_at=now_plus(-100_000))

    def beat(**values: object) -> None:
        given = {"name": "w", "device": "cpu", "models": {}, "stylers": {"local": "open"}}
        times = {"started_at": now(), "heartbeat_at": now()}
        with database.write() as session:
            session.merge(Worker(id=worker, pid=1, **given, **times, **values))

    def ended() -> bool:
        reconciler.look()
        return state(database, job_id) is JobState.SUCCEEDED

    for _ in range(4):
        beat()
        time.sleep(0.5)
        assert not ended()
    beat(draining=True)
    assert not ended()
    until(ended, what="end")


def test_a_lease_is_renewed_for_whom_it_is_and_nobody_else(captioned, database: Database) -> None:
    job_id = captioned()
    before = images(database, job_id)[0]
    captioner = Claim(job_id, 0, before.attempt, None, before.model)
    with database.write() as session:
        jobs.renew(session, [captioner], lease_s=60)  # it has just stored the caption
    assert images(database, job_id)[0].lease_until is None
    (mine,) = to_style(database, job_id)
    change(database, job_id, lease_until=now_plus(1))
    with database.write() as session:
        jobs.renew(session, [mine], lease_s=60)
        assert jobs.held_no_longer(session, [mine]) == {}
    take_back(database)
    change(database, job_id, lease_until=now_plus(60))
    with database.write() as session:
        jobs.release(session, [mine])
    assert len(to_style(database, job_id)) == 1


def test_a_canceled_job_keeps_its_captions_without_styles(captioned, database: Database) -> None:
    job_id = captioned(2)
    (held, _) = to_style(database, job_id)
    with database.write() as session:
        jobs.release(session, [Claim(job_id, 1, held.attempt, None, "m", caption="plain")])
        assert jobs.cancel(session, job_id) is JobState.CANCELING
    with database.write() as session:
        assert list(jobs.held_no_longer(session, [held])) == [held]
    waiting = images(database, job_id)[1]
    assert (waiting.state, waiting.style_code) == (ImageState.SUCCEEDED, "canceled")
    finish(database, StyleOutcome(held, styled=STYLED))
    assert state(database, job_id) is JobState.SUCCEEDED


def test_a_caption_that_comes_after_a_cancel_waits_for_no_styler(make, database: Database) -> None:
    job_id = make(1, styling=WISH)
    with database.write() as session:
        claims = claim(session, job_id, 0)
        jobs.cancel(session, job_id)
        changed = jobs.finish(session, [Outcome(claims[0], caption="plain")])
    assert changed[job_id] is JobState.SUCCEEDED
    (image,) = images(database, job_id)
    assert (image.caption, image.style_code) == ("plain", "canceled")


def test_a_lost_worker_of_a_canceled_job_leaves_it_plain(captioned, database: Database) -> None:
    job_id = captioned()
    assert len(to_style(database, job_id)) == 1
    with database.write() as session:
        jobs.cancel(session, job_id)
    change(database, job_id, lease_until=now_plus(-1))
    assert take_back(database)[job_id] is JobState.SUCCEEDED
    assert images(database, job_id)[0].style_code == "canceled"


def test_lost_attempts_of_captioning_do_not_count_against_styling(make, database: Database) -> None:
    job_id = make(1, styling=WISH)
    change(database, job_id, lost=2)
    with database.write() as session:
        claims = claim(session, job_id, 0, again=True)
        jobs.finish(session, [Outcome(claims[0], caption="plain")])
    assert images(database, job_id)[0].lost == 0
