"""Row 36 of the fault matrix; and images of a version before, which no message of today names."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Thread

import pytest
from sqlalchemy import TextClause, bindparam, event, select, text, update
from uuid_utils.compat import uuid7

from captioner import jobs
from captioner.clock import now, now_plus
from captioner.database import Database
from captioner.settings import Settings
from captioner.wakeups import Herald, connect
from captioner.work import Outcome, Parcel
from models import CancelCause, Job, JobImage, JobState
from tests.integration.conftest import SHA, settings_of
from tests.integration.rows import claim, model_of, state
from tests.stacks import Stack
from worker.reconciler import Reconciler

IMAGES = 1_000
SIZE = 16


class Notebook:
    """What a reconciler needs of a publisher; it keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[Parcel] = []

    def publish(self, parcels: list[Parcel]) -> None:
        """Keep them: a list's `extend` is one step for threads."""
        self.sent.extend(parcels)

    def waiting(self, model: str) -> int:
        """None: so that stale messages count as lost soon."""
        return 0


@pytest.fixture
def open_reconciler(stack: Stack) -> Iterator:
    """Reconcilers with a database connection of their own, as in processes of their own."""
    with ExitStack() as ends:

        def opened(settings: Settings, publisher: Notebook) -> Reconciler:
            database = Database(stack.database_url)
            ends.callback(database.close)
            herald = Herald(connect(settings.redis_url))
            return Reconciler(settings, database, publisher, herald)

        yield opened


def test_two_reconcilers_at_once_send_each_image_once(
    stack, database, make, open_reconciler
) -> None:
    job_id = make(IMAGES)
    with database.write() as session:
        session.execute(update(JobImage).where(JobImage.job_id == job_id).values(published_at=None))
    settings = settings_of(stack, models=(model_of(job_id),), message_images=SIZE)
    notebook = Notebook()
    both = [open_reconciler(settings, notebook) for _ in range(4)]
    with ThreadPoolExecutor(len(both)) as threads:
        looks = [threads.submit(each.look) for each in both for _ in range(3)]
    assert [look.exception() for look in looks] == [None] * len(looks)
    named = [n for parcel in notebook.sent for n in parcel.positions]
    print(f"\n{len(named)} images were named in {len(notebook.sent)} messages, of {IMAGES}")
    assert set(named) == set(range(IMAGES))
    assert len(named) <= 1.1 * IMAGES


def test_images_that_the_version_before_wrote_are_worked_on(
    stack, database, make, open_reconciler
) -> None:
    """Row 40: while programs of both versions run, its rows lack what came later."""
    make(1)  # the picture
    job_id = uuid7()
    job = {"id": job_id, "state": "queued", "model": model_of(job_id), "image_count": 1,
           "succeeded_count": 0, "failed_count": 0}  # fmt: skip
    image = {"job_id": job_id, "position": 0, "blob_sha256": SHA, "state": "queued",
             "attempt": 0, "cached": False}  # fmt: skip
    with database.write() as session:
        at = session.scalars(select(now())).one()
        session.execute(insert_of(Job, job | {"created_at": at}))
        session.execute(insert_of(JobImage, image | {"published_at": at}))
    settings, notebook = settings_of(stack, models=(model_of(job_id),)), Notebook()
    open_reconciler(settings, notebook).look()
    with database.write() as session:
        assert [held.position for held in claim(session, job_id, 0)] == [0]


def insert_of(record, values: dict[str, object]) -> TextClause:
    """An INSERT of these columns alone: what it does not name is left to the database."""
    table, names = record.__table__, list(values)
    statement = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES (:{', :'.join(names)})"
    typed = [bindparam(name, value, table.c[name].type) for name, value in values.items()]
    return text(statement).bindparams(*typed)


def test_a_look_waits_for_no_job_while_it_holds_another(
    stack, database, make, open_reconciler
) -> None:
    left, late = sorted((make(2), make(1, cancel_after_s=3600)))
    with database.write() as session:
        held = [*claim(session, left, 0), *claim(session, late, 0)]
        canceling = {"state": JobState.CANCELING, "cancel_cause": CancelCause.ASKED}
        session.execute(update(Job).where(Job.id == left).values(canceling))
        session.execute(update(Job).where(Job.id == late).values(deadline_at=now_plus(-1)))
    reconciler = open_reconciler(settings_of(stack, models=()), Notebook())
    faults: list[BaseException] = []

    def finish() -> None:
        try:
            with database.write() as session:
                jobs.finish(session, [Outcome(each, caption="a dog") for each in held])
        except BaseException as fault:
            faults.append(fault)

    thread = Thread(target=finish)

    def between(_conn, _cursor, statement, *_) -> None:
        if "EXISTS" in statement and "jobs.state = " in statement and thread.ident is None:
            thread.start()
            thread.join(0.5)  # it waits by then, if it has to

    event.listen(reconciler._database.engine, "before_cursor_execute", between)
    reconciler.look()
    thread.join(60)
    assert faults == []
    assert [state(database, each) for each in (left, late)] == ["canceled", "succeeded"]
