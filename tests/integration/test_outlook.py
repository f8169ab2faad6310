"""One look at the line serves many requests, and none that may be refused."""

from dataclasses import replace

import pytest
from uuid_utils.compat import uuid7

from captioner import jobs, outlook
from captioner.database import Database
from captioner.errors import QueueFull
from captioner.outlook import Lookout, Request
from captioner.work import Order, Picture
from models import Priority
from tests.integration.by_itself import database as database
from tests.integration.by_itself import own as own
from tests.integration.conftest import settings_of
from tests.stacks import Stack
from tests.statements import statements

ROOM = 100
ONE = Request("a", "scenes", 1, Priority.NORMAL)


@pytest.fixture
def lookout(own: Stack, database: Database, monkeypatch) -> Lookout:
    monkeypatch.setattr(outlook, "KEPT_S", 3600)
    settings = settings_of(own, max_images=ROOM, max_queued=ROOM, max_queued_per_caller=ROOM)
    return Lookout(settings, database)


def store(database: Database, images: int) -> None:
    """A job of another process."""
    with database.write() as session:
        order = Order(uuid7(), "scenes", caller="a")
        jobs.create(session, [(order, [Picture(None, None, source_url="http://a/b")] * images)])


def test_one_look_serves_those_who_come_soon_after_and_counts_them(lookout, database) -> None:
    assert statements(database, lambda: lookout.admit(ONE))
    seen = []
    asked = statements(database, lambda: seen.extend(lookout.admit(ONE) for _ in range(9)))
    assert asked == []
    assert [each.unfinished.overall for each in seen] == list(range(1, 10))
    times = [each.unfinished.at for each in seen]
    assert times == sorted(times)
    assert len(set(times)) == len(times)


def test_another_caller_has_a_look_of_its_own(lookout, database) -> None:
    lookout.admit(ONE)
    assert statements(database, lambda: lookout.admit(replace(ONE, caller="b")))


def test_a_look_serves_for_a_moment_only(lookout, database, monkeypatch) -> None:
    lookout.admit(ONE)
    monkeypatch.setattr(outlook, "KEPT_S", 0)
    assert statements(database, lambda: lookout.admit(ONE))


def test_where_half_of_the_room_is_taken_everybody_looks(lookout, database) -> None:
    lookout.admit(ONE)
    store(database, ROOM)
    lookout.admit(ONE)  # what another process has let in since is not seen
    with pytest.raises(QueueFull):
        lookout.admit(replace(ONE, images=ROOM // 2))
    with pytest.raises(QueueFull):  # nor has anybody else an old look now
        lookout.admit(ONE)


def test_nobody_is_refused_for_what_has_ended_since(lookout, database) -> None:
    lookout.admit(replace(ONE, images=ROOM))  # let in, and never stored
    assert lookout.admit(ONE).unfinished.overall == 0
