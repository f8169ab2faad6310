"""Rows 17, 37 and 40 of the fault matrix, and abuse row 34: messages, queues and tables."""

import base64
import json
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from kombu import Connection, Producer

from captioner import schema
from captioner.broker import KEY_PREFIX, sending_app
from captioner.publishing import Publisher
from captioner.work import Parcel
from tests.faults.crew import LIVELY, Crew, deliveries, faultless, forms, id_of, settings_of
from tests.faults.drawn import Order
from tests.faults.load import Load, batches
from tests.faults.ordeal import Event, endure
from tests.faults.stand import QUEUE, Stand, standing
from tests.faults.witness import MODEL
from tests.processes import until

CONSUME = b"\x00\x3c\x00\x14"
"""How a frame of AMQP 0-9-1 begins that asks to consume: class 60, method 20."""
BROKERS = pytest.mark.parametrize("broker", ["redis", "rabbitmq"])


@BROKERS
@forms("jobs", 60, 1_000)
def test_every_message_five_times(broker, jobs, tmp_path, tell) -> None:
    """Row 17."""
    with standing(tmp_path, broker=broker, workers=2) as stand:
        crew = Crew(stand)
        sender = Publisher(sending_app(settings_of(stand)), on_failure=lambda parcel: None, size=16)
        for _ in range(jobs):
            parcel = Parcel(id_of(crew.post(Order.NONE)), MODEL, (0,))
            for _ in range(4):
                sender.send(parcel)
        sender.close()
        seconds = crew.settle(timeout_s=60 + jobs)
        until(lambda: stand.left(taken=True) == 0, what="end of the messages")
        verdict = crew.verdict()
        tell([crew.row(f"each message five times ({broker})", 5 * jobs, seconds, verdict)])
        assert stand.fleet.surprises() == []
        assert deliveries(stand) >= 5 * jobs
    assert faultless(verdict)
    assert verdict.runs == jobs


def test_a_worker_outlives_a_queue_that_goes_before_it_listens(tmp_path) -> None:
    """Row 37: the queue is deleted between its declaration and the call to consume."""
    with standing(tmp_path, broker="rabbitmq", workers=1) as stand:
        (worker,) = stand.workers
        pid, log, rabbit = worker.pid, stand.folder / "worker-1.log", stand.rabbit
        assert rabbit is not None
        gone = threading.Event()

        def delete_once(data: bytes) -> None:
            if CONSUME in data and QUEUE.encode() in data and not gone.is_set():
                rabbit.delete(QUEUE)
                gone.set()

        rabbit.proxy.before = delete_once
        rabbit.proxy.cut()
        assert gone.wait(60)
        until(lambda: "NOT_FOUND - no queue" in log.read_text(), what="an error of the channel")
        crew = Crew(stand)
        crew.post(Order.NONE)
        crew.settle()
        assert faultless(crew.verdict())
        assert worker.pid == pid
        assert stand.fleet.surprises() == []


@forms("times", 1, 5)
def test_a_rabbitmq_whose_connections_and_queue_go(times, tmp_path, tell) -> None:
    """Row 37: 2,000 images in full, and every fault of the broker five times."""
    gap_s, faults = 3.0, ("connections cut", "queue deleted", "queue purged", "away 5 s")
    events = [Event(2 + gap_s * n, f"rabbitmq {what}") for n, what in enumerate(faults * times)]
    images, span_s = 400 * times, 2 + gap_s * len(events)
    with standing(tmp_path, broker="rabbitmq") as stand:
        course = endure(stand, events, images=images, span_s=span_s, seed=37)
    tell(course.rows("matrix, RabbitMQ"))
    assert not course.violations(), "\n".join(course.violations())


@forms("times", 1, 5)
def test_tables_that_go_back_a_version_under_load(times, tmp_path, tell) -> None:
    """Row 40: in between, nothing can be accepted or stored; afterwards, nothing is missing."""
    images, span_s = 120 * times, 8.0 * times
    with standing(tmp_path, broker="redis", settings=LIVELY) as stand:
        crew, settings = Crew(stand), settings_of(stand)
        with Load(stand.base, batches(images=images, span_s=span_s, seed=40)) as load:
            for _ in range(times):
                time.sleep(3)
                schema.downgrade(settings, "-1")
                time.sleep(2)
                schema.upgrade(settings)
                time.sleep(3)
            load.finish(timeout_s=span_s + 60)
        crew.accepted = dict(load.seen.accepted)
        crew.orders = dict.fromkeys(range(images), Order.NONE)
        seconds, verdict = crew.settle(), crew.verdict()
        tell([crew.row("tables one version back and forth", times, seconds, verdict)])
        print(f"answers {dict(load.seen.answers)}")
        assert stand.fleet.surprises() == []
    assert faultless(verdict)
    assert load.seen.unexpected == []


class Canary:
    """What pickle makes of it creates a file."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (self._path,)


Push = Callable[..., None]


def envelope(body: bytes, *, kind: str, task: str) -> bytes:
    """A message as it stands in a Redis list."""
    tag = {"delivery_tag": "x", "delivery_info": {"exchange": "", "routing_key": QUEUE}}
    return json.dumps({
        "body": base64.b64encode(body).decode(), "content-type": kind,
        "content-encoding": "binary", "headers": {"task": task, "id": "1", "lang": "py"},
        "properties": {"body_encoding": "base64", **tag},
    }).encode()  # fmt: skip


def push(stand: Stand, body: bytes, *, kind: str, task: str = "captioner.caption") -> None:
    """Put a message into the queue as somebody would who got at the broker."""
    if stand.rabbit is None:
        stand.redis.client.lpush(KEY_PREFIX + QUEUE, envelope(body, kind=kind, task=task))
        return
    with Connection(stand.rabbit.url) as connection, connection.channel() as channel:
        headers = {"task": task, "id": "1", "lang": "py"}
        Producer(channel).publish(
            body, routing_key=QUEUE, content_type=kind, content_encoding="binary", headers=headers
        )


def arguments(*args: object) -> bytes:
    return json.dumps([args, {"model": MODEL}, {}]).encode()


JSON = "application/json"
PICKLE = "application/x-python-serialize"
ID = "0197c6a0-0000-7000-8000-000000000000"
HOSTILE: dict[str, Callable[[str], tuple[bytes, dict[str, str]]]] = {
    "a pickle": lambda c: (pickle.dumps(([Canary(c)], {}, {})), {"kind": PICKLE}),
    "a pickle said to be JSON": lambda c: (pickle.dumps(Canary(c)), {"kind": JSON}),
    "an unknown task": lambda c: (arguments(c), {"kind": JSON, "task": "os.mkdir"}),
    "10 MB of an unknown task": lambda c: (
        arguments("x" * 10_000_000), {"kind": JSON, "task": "no.such.task"}),
    "10 MB of arguments": lambda c: (arguments("x" * 10_000_000, [0]), {"kind": JSON}),
    "broken JSON": lambda c: (b'[["', {"kind": JSON}),
    "another shape": lambda c: (b'{"job_id": 1}', {"kind": JSON}),
    "an id that is none": lambda c: (arguments("../../x", [0]), {"kind": JSON}),
    "a job that is not there": lambda c: (arguments(ID, [0, 1]), {"kind": JSON}),
    "a million positions": lambda c: (arguments(ID, [0] * 1_000_000), {"kind": JSON}),
    "a kind that nobody knows": lambda c: (b"\xff\x00", {"kind": "image/png"}),
}  # fmt: skip
RAW = (b"{not json", b"", pickle.dumps({"body": "x"}), b"[]", b'{"body": "e30="}', b"\xff" * 100)
"""For the list of Redis itself: no message at all."""
LONGEST_LINE = 4_000


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def attacked(request, tmp_path_factory) -> Iterator[Stand]:
    """One stand for all hostile messages: its one worker must outlive every one of them."""
    folder = tmp_path_factory.mktemp("attacked")
    with standing(folder, broker=request.param, workers=1) as stand:
        yield stand


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_message_is_refused(name, attacked, tmp_path) -> None:
    """Abuse row 34."""
    canary, pid = tmp_path / "canary", attacked.workers[0].pid
    body, said = HOSTILE[name](str(canary))
    push(attacked, body, **said)
    assert_well(attacked, pid)
    assert not canary.exists()


def test_what_is_no_message_is_refused(attacked) -> None:
    """Abuse row 34: bytes in the list of Redis that no client of ours would write."""
    if attacked.rabbit is not None:
        push(attacked, b"", kind="")
        assert_well(attacked, attacked.workers[0].pid)
        return
    for raw in RAW:
        pid = attacked.workers[0].pid
        attacked.redis.client.lpush(KEY_PREFIX + QUEUE, raw)
        assert_well(attacked, pid)


def assert_well(stand: Stand, pid: int | None) -> None:
    """The same process does the next job, nothing is left in the queue, and its log is readable."""
    crew = Crew(stand)
    crew.post(Order.NONE)
    crew.settle()
    verdict = crew.verdict()
    assert faultless(verdict)
    assert verdict.runs == 1
    until(lambda: stand.left(taken=False) == 0, what="empty queue", timeout_s=10)
    assert stand.fleet.surprises() == []
    assert stand.workers[0].pid == pid
    log = (stand.folder / "worker-1.log").read_text(errors="replace")
    assert max(map(len, log.splitlines())) < LONGEST_LINE
