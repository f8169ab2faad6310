"""Remembered captions through the whole service: a real API, a real worker and its engine."""

import time
from collections.abc import Iterator

import httpx
import pytest
from click.testing import CliRunner

from captioner import settings
from cli.main import main
from tests import processes
from tests.integration.alone import stack as stack
from tests.integration.calls import files, finished, problem
from tests.integration.test_events import events
from tests.integration.test_metrics import samples
from tests.pictures import png, sure
from tests.processes import until
from tests.receivers import SECRET, receiver
from tests.stacks import Stack

ENVIRONMENT = {
    "CAPTIONER_CACHE_TTL_S": "600",
    "CAPTIONER_WEBHOOK_SECRETS": SECRET,
    "CAPTIONER_OUTBOUND_ALLOW": "127.0.0.1:*",
}
NO_CACHE = {"Cache-Control": "max-age=0, No-Cache"}


@pytest.fixture(scope="module")
def base(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An API and a worker that remember captions."""
    folder = tmp_path_factory.mktemp("service")
    with processes.service({**stack.environment, **ENVIRONMENT}, folder) as address:
        yield address


@pytest.fixture
def http(base: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base, timeout=60) as client:
        yield client


def captioned(http: httpx.Client, *pictures: bytes, headers=None, **fields) -> dict:
    """The whole job of a blocking call, its answer among it."""
    answer = http.post(
        "/captionImageBlocking", files=files(*pictures), data=fields, headers=headers
    )
    assert answer.status_code == 200, answer.text
    job = http.get(answer.json()["urls"]["self"]).json()
    assert job["result"] == answer.json()["result"]
    return job


def made(job: dict) -> list[tuple]:
    """All that a model said of each picture of a job, and its version."""
    return [
        (image["caption"], image["score"], image["captions"], image["model_revision"])
        for image in job["images"]
    ]


def texts(job: dict) -> list[list[str]]:
    return [
        [image["caption"], *(each["caption"] for each in image["captions"])]
        for image in job["images"]
    ]


def scores(job: dict) -> list[float]:
    """They are rounded as the batch has it."""
    return [image["score"] for image in job["images"]]


def cached(job: dict) -> set[bool]:
    return {image["cached"] for image in job["images"]}


@pytest.mark.parametrize("fields", [{}, {"num_beams": "3", "num_captions": "3"}], ids=str)
def test_a_caption_that_is_remembered_equals_the_one_that_the_engine_gives(http, fields) -> None:
    scenes = sure(12, seed=41)
    pictures = [png(scene) for scene in scenes]
    first, again = captioned(http, *pictures, **fields), captioned(http, *pictures, **fields)
    anew = captioned(http, *pictures, headers=NO_CACHE, **fields)
    assert made(first) == made(again)
    assert texts(again) == texts(anew)
    assert scores(again) == pytest.approx(scores(anew), abs=1e-4)
    assert first["result"][0] == scenes[0].caption
    assert [cached(job) for job in (first, again, anew)] == [{False}, {True}, {False}]


def test_another_prompt_is_another_caption(http) -> None:
    picture = png(sure(1, seed=42)[0])
    captioned(http, picture)
    assert cached(captioned(http, picture, prompt="a")) == {False}
    assert cached(captioned(http, picture, prompt="a")) == {True}


def test_a_job_whose_captions_are_known_is_final_when_it_is_answered(http) -> None:
    picture = png(sure(1, seed=43)[0])
    captioned(http, picture)
    answer = http.post("/captionImage", files=files(picture))
    assert answer.status_code == 202
    assert (answer.json()["status"], answer.json()["msg"]) == ("succeeded", "Job finished!")
    job = http.get(answer.headers["Location"]).json()
    assert job["counts"]["succeeded"] == job["counts"]["total"] == 1
    assert job["started_at"] is None
    assert job["created_at"] <= job["finished_at"]
    assert (job["eta_s"], job["expected_at"], job["queue_position"]) == (None, None, None)
    listed = http.get("/captionImage", params={"id": job["id"]}).json()
    assert [each["status"] for each in listed] == ["succeeded"]


def test_a_blocking_call_for_a_known_caption_waits_for_nobody(http) -> None:
    picture = png(sure(1, seed=44)[0])
    captioned(http, picture)
    took = []
    for _ in range(10):
        began = time.monotonic()
        assert http.post("/captionImageBlocking", files=files(picture)).status_code == 200
        took.append(time.monotonic() - began)
    print(f"blocking calls took {1e3 * min(took):.1f} to {1e3 * max(took):.1f} ms")
    assert min(took) < 0.25


def test_the_stream_of_a_job_that_is_known_has_its_captions_and_its_end(http) -> None:
    known, other = (png(scene) for scene in sure(2, seed=45))
    captioned(http, known)
    wishes = {"Accept": "text/event-stream"}
    with http.stream("POST", "/captionImage", files=files(known), headers=wishes) as response:
        told = list(events(response))
    assert [event.name for event in told] == ["accepted", "image", "progress", "end"]
    assert [event.number for event in told] == [None, 1, None, 2]
    assert told[0].data["status"] == told[-1].data["status"] == "succeeded"
    assert told[0].data["msg"] == "Job finished!"  # as the 202 says it
    with http.stream(
        "POST", "/captionImage", files=files(other, known), headers=wishes
    ) as response:
        images = [event for event in events(response) if event.name == "image"]
    assert [(each.data["position"], each.data["cached"]) for each in images] == [
        (1, True), (0, False),
    ]  # fmt: skip


def test_a_webhook_tells_the_end_of_a_job_that_is_known(http) -> None:
    picture = png(sure(1, seed=46)[0])
    captioned(http, picture)
    with receiver() as found:
        fields = {"webhook": found.url, "webhook_events": "job.started,job.finished"}
        url = http.post("/captionImage", files=files(picture), data=fields).headers["Location"]
        until(lambda: bool(found.taken), what="webhook")
    assert found.bad == []
    (entry,) = http.get(f"{url}/webhooks").json()
    assert entry["type"] == "job.finished"  # it never started


def test_a_known_job_that_is_not_stored_goes_once_it_was_delivered(http) -> None:
    picture = png(sure(1, seed=47)[0])
    captioned(http, picture)
    answer = http.post("/captionImageBlocking", files=files(picture), data={"store": "false"})
    url = answer.json()["urls"]["self"]
    until(lambda: http.get(url).status_code == 410, what="end of the job")
    assert cached(captioned(http, picture)) == {True}


def test_a_deletion_says_how_many_captions_are_forgotten(http) -> None:
    picture = png(sure(1, seed=48)[0])
    url = f"/captionImage/{captioned(http, picture)['id']}"
    assert http.delete(url).json()["removed"]["cached_captions"] == 1
    assert cached(captioned(http, picture)) == {False}


def test_the_command_forgets_captions_and_no_job(http, stack, monkeypatch) -> None:
    picture = png(sure(1, seed=49)[0])
    url = f"/captionImage/{captioned(http, picture)['id']}"
    monkeypatch.setenv("CAPTIONER_REDIS_URL", stack.environment["CAPTIONER_REDIS_URL"])
    settings.load.cache_clear()
    blip = CliRunner().invoke(main, ["cache", "purge", "--model", "blip"])
    where = stack.environment["CAPTIONER_REDIS_URL"]
    assert blip.output == f"0 captions of blip are forgotten, in {where}\n"
    assert cached(captioned(http, picture)) == {True}
    purged = CliRunner().invoke(main, ["cache", "purge"])
    assert int(purged.output.split()[0]) > 0
    assert cached(captioned(http, picture)) == {False}
    assert finished(http, url)["status"] == "succeeded"
    monkeypatch.setenv("CAPTIONER_REDIS_URL", "redis://127.0.0.1:1/0")
    settings.load.cache_clear()
    away = CliRunner().invoke(main, ["cache", "purge"])
    assert away.exit_code == 1
    assert away.stderr.startswith("Error: Redis does not answer")
    settings.load.cache_clear()


def test_lookups_are_told_to_prometheus_whichever_process_is_asked(http) -> None:
    picture = png(sure(1, seed=50)[0])

    def told() -> dict:
        return samples(http.get("/metrics").text)

    before = told()
    for _ in range(3):
        captioned(http, picture)
    after = told()
    for outcome, number in (("hit", 2), ("miss", 1), ("error", 0)):
        name = ("cache_lookups_total", outcome)
        assert after[name] - before[name] == number


def test_a_key_of_a_job_that_was_known_gives_that_job(http) -> None:
    picture = png(sure(1, seed=51)[0])
    captioned(http, picture)
    headers = {"Idempotency-Key": "known"}
    one, two = (http.post("/captionImage", files=files(picture), headers=headers) for _ in range(2))
    assert one.json() == two.json()
    assert two.headers["Idempotency-Replayed"] == "true"
    problem(http.post(f"{one.headers['Location']}/cancel"), 409, "job_final")


def test_a_known_picture_is_an_image_with_thumbnails_all_the_same(http) -> None:
    data = png(sure(1, seed=77)[0])
    known = http.post("/captionImageBlocking", files=files(data)).json()["result"]

    def upload() -> dict:
        response = http.post("/api/images", files={"file": ("x.png", data)})
        return finished(http, response.headers["Location"]) | {"at_once": response.json()["status"]}

    first, second = upload(), upload()

    assert first["at_once"] == "queued", "a worker has to make its thumbnails"
    assert second["at_once"] == "succeeded"
    for image in (first, second):
        assert [image["caption"]] == known
        assert http.get(image["thumbnails"]["small"]).status_code == 200
