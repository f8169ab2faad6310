"""Webhooks through the whole service: asked for at the door, sent by a worker, shown in the log."""

import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from captioner.work import Hook
from tests import processes
from tests.integration.calls import files, finished, problem
from tests.integration.webhooks.sending import end, is_over, logged
from tests.pictures import plain, png, sure
from tests.processes import until
from tests.receivers import SECRET, receiver, sleeps
from tests.stacks import Stack

ENVIRONMENT = {
    "CAPTIONER_WEBHOOK_SECRETS": SECRET,
    "CAPTIONER_WEBHOOK_SCHEDULE_S": ",".join(["0.1"] * 10),
    "CAPTIONER_WEBHOOK_TIMEOUT_S": "1",
    "CAPTIONER_OUTBOUND_ALLOW": "127.0.0.1:*",
}


@pytest.fixture(scope="module")
def base(stack: Stack, tmp_path_factory) -> Iterator[str]:
    """An API and a worker that sign webhooks and may call this machine."""
    folder = tmp_path_factory.mktemp("webhooks")
    with processes.service({**stack.environment, **ENVIRONMENT}, folder) as address:
        yield address
        for log in ("api.log", "worker.log"):
            assert SECRET.removeprefix("whsec_") not in (folder / log).read_text()


@pytest.fixture
def http(base: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base, timeout=60) as client:
        yield client


def submit(http: httpx.Client, **fields) -> str:
    response = http.post("/captionImage", files=files(png(sure(1)[0])), data=fields)
    assert response.status_code == 202, response.text
    return response.headers["Location"]


def test_a_job_tells_its_start_and_its_end(http) -> None:
    with receiver() as found:
        url = submit(http, webhook=found.url, webhook_events="job.started, job.finished")
        until(lambda: len(found.taken) == 2, what="both webhooks")
        job = finished(http, url)
    said = {each.headers["webhook-id"]: each for each in found.received}
    shown = http.get(f"{url}/webhooks").json()
    assert found.bad == []
    assert set(said) == {entry["id"] for entry in shown}
    assert [entry["type"] for entry in shown] == ["job.started", "job.finished"]
    until(
        lambda: {e["status"] for e in http.get(f"{url}/webhooks").json()} == {"delivered"},
        what="both noted as delivered",
    )
    ended = httpx.Response(200, content=said[shown[1]["id"]].body).json()
    assert ended["data"]["result"] == job["result"]
    assert ended["data"]["status"] == job["status"] == "succeeded"


def test_a_failing_receiver_is_tried_until_it_takes_it_and_replayed_on_request(http) -> None:
    with receiver(500, 500) as found:
        url = submit(http, webhook=found.url)
        until(lambda: len(found.taken) == 1, what="delivery")
        until(
            lambda: http.get(f"{url}/webhooks").json()[0]["status"] == "delivered", what="its note"
        )
        (shown,) = http.get(f"{url}/webhooks").json()
        assert [each["status"] for each in shown["attempts"]] == [500, 500, 200]
        again = http.post(f"{url}/webhooks/{shown['id']}/replay")
        assert again.status_code == 202
        assert again.json()["status"] == "pending"
        until(lambda: len(found.taken) == 2, what="replay")
    assert len(found.received) == 4
    assert found.ids == {shown["id"]}
    assert found.bad == []


def test_a_slow_receiver_holds_no_caption(http, stack) -> None:
    with receiver(then=sleeps(0.9)) as found:
        for _ in range(20):
            submit(http, webhook=found.url)
        until(lambda: len(found.received) >= 8, what="attempts")
        began = time.monotonic()
        response = http.post("/captionImageBlocking", files=files(plain()))
        assert response.status_code == 200
        assert time.monotonic() - began < 10


def test_a_job_that_is_not_stored_goes_once_its_end_was_told(http) -> None:
    with receiver(500) as found:
        url = submit(http, webhook=found.url, store="false")
        until(lambda: len(found.taken) == 1, what="delivery")
    assert len(found.received) == 2
    until(lambda: http.get(url).status_code == 410, what="deletion")
    problem(http.get(f"{url}/webhooks"), 410, "job_deleted")


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/", "ftp://a.example/", "http://10.0.0.1/", "nonsense", ""]
)
def test_a_url_that_may_not_be_called_is_refused_at_the_door(http, url) -> None:
    sent = http.post("/captionImage", files=files(plain()), data={"webhook": url})
    problem(sent, 422, "url_not_allowed")


@pytest.mark.parametrize(
    "fields",
    [
        {"webhook": "https://a.example/", "webhook_events": ["job.exploded"]},
        {"webhook": "https://a.example/", "webhook_events": []},
        {"webhook_events": ["job.finished"]},
        {"webhook": 7},
    ],
)
def test_fields_that_make_no_sense_are_refused(http, fields) -> None:
    sent = http.post("/captionImage", json={"imgb64s": ["aGk="], **fields})
    problem(sent, 422, "invalid_request")


def test_a_webhook_of_another_job_is_not_found(http) -> None:
    url = submit(http)
    assert http.get(f"{url}/webhooks").json() == []
    for other in ("01936f0e-0000-7000-8000-000000000000", "nonsense"):
        problem(http.post(f"{url}/webhooks/{other}/replay"), 404, "webhook_not_found")
    problem(
        http.get("/captionImage/01936f0e-0000-7000-8000-000000000000/webhooks"),
        404,
        "job_not_found",
    )


def test_without_a_secret_only_webhooks_are_refused(stack: Stack, tmp_path) -> None:
    with processes.service(stack.environment, tmp_path, workers=0, ready=False) as address:
        sent = httpx.post(
            f"{address}/captionImage",
            files=files(plain()),
            data={"webhook": "https://a.example/hook"},
        )
        detail = problem(sent, 503, "webhooks_unconfigured")["detail"]
        assert "captioner webhooks secret" in detail
        assert "Retry-After" in sent.headers
        kept = httpx.post(f"{address}/captionImage", files=files(plain()))
        assert kept.status_code == 202


def test_killed_senders_lose_nothing_and_keep_the_ids(stack, database, make, tmp_path) -> None:
    events, kills = 40, 5
    environment = {**stack.environment, **ENVIRONMENT}
    command = [sys.executable, "-m", "tests.integration.webhooks.process"]
    with receiver(then=sleeps(0.02)) as found:
        job_ids = [make(1, webhook=Hook(found.url)) for _ in range(events)]
        for job_id in job_ids:
            end(database, job_id)
        for n in range(kills):
            with processes.running(command, environment, log=tmp_path / "sender.log") as sender:
                goal = min(events - 1, (n + 1) * events // (kills + 1))
                until(lambda goal=goal: len(found.ids) >= goal, what="deliveries")
                sender.kill()
        with processes.running(command, environment, log=tmp_path / "sender.log"):
            until(lambda: all(is_over(database, job_id) for job_id in job_ids), what="the rest")
    expected = {str(each.delivery.id) for job in job_ids for each in logged(database, job)}
    assert found.ids == expected
    assert len(expected) == events
    assert found.bad == []
    assert len(found.received) <= events + kills  # one at most was under way at each kill
