"""A job can be followed as it goes, and nobody who comes back misses anything."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from captioner import jobs
from captioner.errors import CaptionFailed
from captioner.work import Outcome
from tests import processes
from tests.integration.calls import problem
from tests.integration.rows import claim
from tests.pictures import png, sure


@dataclass
class Event:
    """One event of a stream, as a client reads it."""

    name: str
    number: int | None
    data: dict


def events(response: httpx.Response) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            number = int(fields["id"]) if "id" in fields else None
            yield Event(fields["event"], number, json.loads(fields["data"]))
            fields = {}


@pytest.fixture(scope="module")
def door(stack, tmp_path_factory) -> Iterator[str]:
    """An API without a worker: the tests do the work, by the rows."""
    folder = tmp_path_factory.mktemp("door")
    with processes.service(stack.environment, folder, workers=0, ready=False) as base:
        yield base


@pytest.fixture
def http(door: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=door, timeout=30) as client:
        yield client


def finish(database, job_id, *, failing: tuple[int, ...] = (), count: int = 1) -> None:
    """Captions the next images of a job; those in `failing` fail."""
    with database.write() as session:
        claims = claim(session, job_id, *range(count))
        jobs.finish(
            session,
            [
                Outcome(c, error=CaptionFailed("no"))
                if c.position in failing
                else Outcome(c, caption=f"caption {c.position}")
                for c in claims
            ],
        )


def test_results_come_as_they_land_and_then_the_end(http, database, make) -> None:
    job_id = make(3, refused=1)
    got: list[tuple[float, Event]] = []

    def listen() -> None:
        with http.stream("GET", f"/captionImage/{job_id}/events") as response:
            assert response.headers["Content-Type"].startswith("text/event-stream")
            got.extend((time.monotonic(), event) for event in events(response))

    listener = threading.Thread(target=listen)
    listener.start()
    time.sleep(1)
    finish(database, job_id)
    landed = time.monotonic()
    time.sleep(1.5)
    finish(database, job_id, failing=(1,))
    listener.join(timeout=20)
    assert not listener.is_alive()
    images = [
        (event.data["position"], event.data["status"]) for _, event in got if event.name == "image"
    ]
    assert images == [(2, "failed"), (0, "succeeded"), (1, "failed")]
    first = next(at for at, event in got if event.name == "image" and event.data["position"] == 0)
    assert first - landed < 1.4  # long before the job's end
    assert [event.name for _, event in got][-1] == "end"
    end = got[-1][1].data
    assert end["status"] == "partial"
    assert end["counts"]["succeeded"] == 1
    numbers = [event.number for _, event in got if event.number is not None]
    assert numbers == sorted(set(numbers))


def test_a_client_that_comes_back_gets_what_it_missed_and_nothing_twice(
    http, database, make
) -> None:
    job_id = make(6)
    finish(database, job_id, count=2)
    path = f"/captionImage/{job_id}/events"
    with http.stream("GET", path) as response:
        seen = []
        for event in events(response):
            if event.name == "image":
                seen.append(event)
            if len(seen) == 2:
                break
    finish(database, job_id, count=4)
    with http.stream("GET", path, headers={"Last-Event-ID": str(seen[-1].number)}) as response:
        rest = list(events(response))
    positions = [event.data["position"] for event in (*seen, *rest) if event.name == "image"]
    assert sorted(positions) == list(range(6))
    assert len(set(positions)) == 6
    last = rest[-1].number
    assert http.get(path, headers={"Last-Event-ID": str(last)}).status_code == 204
    assert http.get(f"{path}?after={last}").status_code == 204


def test_a_stream_survives_a_restart_of_the_api(stack, tmp_path, database, make) -> None:
    job_id = make(2)
    path = f"/captionImage/{job_id}/events"
    with (
        processes.service(stack.environment, tmp_path, workers=0, ready=False) as base,
        httpx.stream("GET", base + path, timeout=30) as response,
    ):
        stream = events(response)
        assert next(stream).name == "progress"
        finish(database, job_id)
        first = next(event for event in stream if event.name == "image")
    finish(database, job_id)  # while no API is there
    with (
        processes.service(stack.environment, tmp_path, workers=0, ready=False) as base,
        httpx.stream(
            "GET", base + path, timeout=30, headers={"Last-Event-ID": str(first.number)}
        ) as response,
    ):
        rest = list(events(response))
    assert [e.data["position"] for e in rest if e.name == "image"] == [1]
    assert rest[-1].name == "end"


def test_a_deleted_or_unknown_job_is_no_stream(http) -> None:
    unknown = "/captionImage/0199aaaa-0000-7000-8000-000000000000/events"
    problem(http.get(unknown), 404, "job_not_found")


def test_a_number_that_is_none_is_refused(http, make) -> None:
    path = f"/captionImage/{make(1)}/events"
    problem(http.get(path, headers={"Last-Event-ID": "x"}), 422, "invalid_request")
    problem(http.get(f"{path}?after=-1"), 422, "invalid_request")


def test_a_submission_can_be_answered_with_its_events(service) -> None:
    scenes = sure(3)
    files = [("images", (f"{n}.png", png(scene), "image/png")) for n, scene in enumerate(scenes)]
    with httpx.stream(
        "POST", f"{service}/captionImage", files=files, headers={"Accept": "text/event-stream"},
        timeout=60,
    ) as response:  # fmt: skip
        assert response.status_code == 200
        job_url = response.headers["Location"]
        got = list(events(response))
    assert got[0].name == "accepted"
    assert got[0].data["urls"]["self"] == job_url
    captions = {e.data["position"]: e.data["caption"] for e in got if e.name == "image"}
    assert captions == {n: scene.caption for n, scene in enumerate(scenes)}
    assert got[-1].name == "end"
    assert got[-1].data["status"] == "succeeded"
