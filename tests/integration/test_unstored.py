"""`store: false`: the result is given away once, and then nothing of it is kept."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import func, select, update

from captioner import jobs
from captioner.blobs import BlobStore
from captioner.clock import now_plus
from captioner.errors import CaptionFailed
from captioner.retention import Retention
from captioner.waiting import POLL_S
from captioner.work import Outcome
from models import DeletedJob, Job
from tests.integration.alone import stack as stack
from tests.integration.calls import problem
from tests.integration.door import Door, id_of, opened
from tests.pictures import b64, plain
from tests.processes import until
from tests.stacks import Stack


@pytest.fixture(scope="module")
def door(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with opened(stack, tmp_path_factory.mktemp("door")) as door:
        yield door


def is_gone(door: Door, url: str) -> bool:
    with door.database.read() as session:
        return session.get(Job, id_of(url)) is None


def waits_until_gone(door: Door, url: str) -> None:
    until(lambda: is_gone(door, url), what="end of the job", timeout_s=20)
    until(lambda: not door.files(), what="end of its pictures", timeout_s=20)
    assert problem(door.http.get(url), 410, "job_deleted")["reason"] == "not_stored"


def blocking_call(door: Door, told: list[httpx.Response]) -> threading.Thread:
    body = {"imgb64s": [b64(plain())], "store": False}
    thread = threading.Thread(
        target=lambda: told.append(door.http.post("/captionImageBlocking?timeout=30", json=body))
    )
    thread.start()
    return thread


def test_the_job_is_gone_once_its_result_was_read(door: Door) -> None:
    url = door.post(plain(), plain("blue"), store="false")
    assert door.http.get(url).json()["status"] == "queued"
    assert door.http.get("/captionImage").status_code == 200
    door.caption(url, "one")
    assert door.http.head(url).status_code == 200  # it has no body: nothing was told
    assert door.http.get("/captionImage").json()[0]["result"] == ["one", "one"]
    assert not is_gone(door, url)

    assert door.http.get(url).json()["result"] == ["one", "one"]

    waits_until_gone(door, url)


def test_a_job_that_is_kept_may_be_read_again_and_again(door: Door) -> None:
    url = door.post(plain())
    door.caption(url)
    for _ in range(5):
        assert door.http.get(url).status_code == 200
    assert door.files() != set()
    assert door.http.delete(url).status_code == 200


@pytest.mark.parametrize("failed", [False, True])
def test_a_blocking_answer_is_a_delivery(door: Door, failed: bool) -> None:
    told: list[httpx.Response] = []
    thread = blocking_call(door, told)
    url = door.queued()
    (claim,) = door.claim(url)
    with door.database.write() as session:
        error = CaptionFailed("no answer") if failed else None
        jobs.finish(session, [Outcome(claim, caption="one", error=error)])
    thread.join(timeout=30)

    assert told[0].status_code == (500 if failed else 200)
    waits_until_gone(door, url)


def test_a_blocking_call_that_ends_before_its_job_delivers_nothing(door: Door) -> None:
    body = {"imgb64s": [b64(plain())], "store": False}
    response = door.http.post("/captionImageBlocking?timeout=0", json=body)
    assert response.status_code == 202
    url = response.headers["Location"]
    door.caption(url, "later")

    assert door.http.get(url).json()["result"] == ["later"]
    waits_until_gone(door, url)


@pytest.mark.parametrize("half", [False, True])
def test_a_caller_who_hung_up_can_still_fetch_the_result(door: Door, half: bool) -> None:
    address = urlsplit(str(door.http.base_url))
    body = json.dumps({"imgb64s": [b64(plain())], "store": False}).encode()
    head = (
        "POST /captionImageBlocking?timeout=30 HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port)) as caller:
        caller.sendall(head.encode() + body)
        url = door.queued()
        # With its own side closed alone, what is sent to it arrives, perhaps at nobody.
        caller.shutdown(socket.SHUT_WR) if half else caller.close()
        door.caption(url, "for nobody")
        time.sleep(2 * POLL_S + 0.5)  # by now the call has answered

    assert door.http.get(url).json()["result"] == ["for nobody"]
    waits_until_gone(door, url)


def test_delivered_may_be_said_of_any_job_and_twice(door: Door) -> None:
    kept, unfinished = door.post(plain()), door.post(plain(), store="false")
    door.caption(kept)
    retention = Retention(door.database, BlobStore(door.settings.blobs))
    for url in (kept, kept, unfinished, "x/00000000-0000-7000-8000-000000000000"):
        retention.delivered(id_of(url))
    assert not is_gone(door, kept)
    assert not is_gone(door, unfinished)

    door.caption(unfinished)
    retention.delivered(id_of(unfinished))
    retention.delivered(id_of(unfinished))

    assert is_gone(door, unfinished)
    with door.database.read() as session:
        stones = select(func.count()).where(DeletedJob.id == id_of(unfinished))
        assert session.scalar(stones) == 1
    door.http.delete(kept)


def test_a_result_that_nobody_fetches_goes_after_its_time(door: Door) -> None:
    url, kept = door.post(plain(), store="false"), door.post(plain("blue"))
    door.caption(url)
    door.caption(kept)
    door.cleaner(keep_unfetched_s=60).turn()
    assert not is_gone(door, url)
    with door.database.write() as session:
        session.execute(
            update(Job)
            .where(Job.id.in_([id_of(url), id_of(kept)]))
            .values(finished_at=now_plus(-61))
        )

    door.cleaner(keep_unfetched_s=60).turn()

    assert not is_gone(door, kept)
    door.http.delete(kept)
    waits_until_gone(door, url)
