"""One caption of all pictures of a request: made once, by a chat model, whatever is lost."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from captioner.images import ImageLimits, decode, fit
from captioner.options import Length, Options
from captioner.settings import Settings
from tests import processes, standins, talker
from tests.integration.alone import stack as stack
from tests.integration.calls import files, finished, problem
from tests.integration.test_right_answers import CPU
from tests.pictures import b64, plain, png, scenes
from tests.stacks import Stack
from worker.dialogue import Dialogue
from worker.engines import intern_vlm

PICTURES = [png(scene) for scene in scenes(6, seed=51)]
ENVIRONMENT = {
    "CAPTIONER_MODEL": "chat",
    "CAPTIONER_MODELS": "chat,scenes",
    "CAPTIONER_CACHE_TTL_S": "600",
}
TALKING = {
    "CAPTIONER_MODEL": "intern_vlm",
    "CAPTIONER_MODELS": "intern_vlm",
    "CAPTIONER_LEASE_S": "2",
    "CAPTIONER_HEARTBEAT_S": "0.5",
    "CAPTIONER_RECONCILE_S": "0.5",
}
Workers = Callable[[], AbstractContextManager]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return standins.intern_vlm(tmp_path_factory.mktemp("chat") / "model")


@pytest.fixture(scope="module")
def http(
    stack: Stack, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A service with a real chat network, small and full of noise."""
    folder = tmp_path_factory.mktemp("service")
    sources = {"CAPTIONER_MODEL_SOURCES": json.dumps({"chat": str(checkpoint)})}
    with (
        processes.service({**stack.environment, **ENVIRONMENT, **sources}, folder) as base,
        httpx.Client(base_url=base, timeout=60) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def talking(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[httpx.Client, Workers]]:
    """An API whose models say what they are told, and what starts a worker."""
    folder = tmp_path_factory.mktemp("talking")
    environment = {**stack.environment, **TALKING}

    @contextmanager
    def worker() -> Iterator:
        given = processes.environment(environment)
        with processes.running(talker.COMMAND, given, log=folder / "worker.log") as process:
            yield process

    with (
        processes.service(environment, folder, workers=0, ready=False) as base,
        httpx.Client(base_url=base, timeout=60) as client,
    ):
        yield client, worker


def submit(http: httpx.Client, *pictures: bytes, headers=None, **body) -> str:
    sent = {"imgb64s": [*map(b64, pictures)], "collective": True, **body}
    answer = http.post("/captionImage", json=sent, headers=headers)
    assert answer.status_code == 202, answer.text
    return answer.headers["Location"]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_all_pictures_get_the_one_caption_that_the_engine_says(http, checkpoint, count) -> None:
    engine = intern_vlm.load(str(checkpoint), revision="main", placement=CPU, max_new_tokens=20)
    limits = ImageLimits.from_settings(Settings())
    pixels = np.stack([fit(decode(data, limits), engine.image_size) for data in PICTURES[:count]])
    options = Options(collective=count, max_new_tokens=12, length=Length.ALT_TEXT)
    dialogue, said = Dialogue(options, chats=True), None
    while said is None:
        said = dialogue.hears(engine.caption([pixels], dialogue.asks)[0])

    url = submit(http, *PICTURES[:count], max_new_tokens=12, length="alt_text")
    job = finished(http, url)
    assert said.caption.text
    assert job["result"] == [said.caption.text]
    assert job["counts"]["total"] == job["counts"]["succeeded"] == 1
    assert job["options"]["collective"] == count
    assert [image["attempt"] for image in job["images"]] == [1]


def test_a_form_says_it_in_words_and_the_names_stay(http) -> None:
    data = {"collective": "true", "max_new_tokens": "4"}
    answer = http.post("/captionImageBlocking", files=files(*PICTURES[:3]), data=data)
    assert answer.status_code == 200
    assert len(answer.json()["result"]) == 1
    (image,) = http.get(answer.json()["urls"]["self"]).json()["images"]
    assert image["file_name"] == "0.png, 1.png, 2.png"


def test_the_same_pictures_in_the_same_order_are_remembered(http) -> None:
    def images(*pictures: bytes) -> list[tuple]:
        job = finished(http, submit(http, *pictures, max_new_tokens=6))
        return [(image["cached"], image["caption"]) for image in job["images"]]

    ((fresh, said),) = images(*PICTURES[3:6])
    assert not fresh
    assert images(*PICTURES[3:6]) == [(True, said)]
    ((turned, _),) = images(*PICTURES[5:2:-1])
    assert not turned


def test_the_same_request_twice_is_one_job(http) -> None:
    keyed = {"Idempotency-Key": "collective-1"}
    first = submit(http, *PICTURES[:2], headers=keyed)
    assert submit(http, *PICTURES[:2], headers=keyed) == first
    body = {"imgb64s": [*map(b64, PICTURES[:2])]}
    answer = http.post("/captionImage", json=body, headers=keyed)
    problem(answer, 422, "idempotency_key_reuse")


def test_a_deleted_collection_is_gone_with_its_caption(http) -> None:
    url = submit(http, *PICTURES[1:3], max_new_tokens=5)
    finished(http, url)
    assert http.delete(url).status_code in (200, 204)
    job = finished(http, submit(http, *PICTURES[1:3], max_new_tokens=5))
    assert not job["images"][0]["cached"]


@pytest.mark.parametrize(
    ("body", "option"),
    [
        ({"model": "scenes"}, "collective"),
        ({"imgb64s": [b64(plain(size)) for size in ("red",) * 17]}, "collective"),
        ({"imgurls": ["https://pictures.example/one.jpg"]}, "collective"),
    ],
    ids=["model", "seventeen", "url"],
)
def test_what_no_collective_caption_can_be_of_is_refused(http, body, option) -> None:
    sent = {"imgb64s": [*map(b64, PICTURES[:2])], "collective": True, **body}
    answer = http.post("/captionImage", json=sent)
    assert problem(answer, 422, "invalid_option")["option"] == option


def test_one_bad_picture_has_the_whole_request_refused(http) -> None:
    sent = {"imgb64s": [b64(PICTURES[0]), b64(b"no picture")], "collective": True}
    answer = http.post("/captionImage", json=sent)
    body = problem(answer, 415, "unsupported_image_format")
    assert [error["index"] for error in body["errors"]] == [1]


def test_a_picture_that_is_damaged_inside_is_told_by_its_number(http) -> None:
    cut = PICTURES[1][: len(PICTURES[1]) // 2]
    job = finished(http, submit(http, PICTURES[0], cut, PICTURES[2]))
    (image,) = job["images"]
    assert job["status"] == "failed"
    assert image["error"]["detail"].startswith("Picture 2: ")


def test_a_flag_is_asked_of_all_pictures_together(talking) -> None:
    http, worker = talking
    with worker():
        url = submit(
            http, *PICTURES[:4], prompt="{n} drawings | ? | ?", tags=True,
            flag='? | ? | {"flagged": "true"}',
        )  # fmt: skip
        (image,) = finished(http, url)["images"]
    assert (image["caption"], image["flagged"], image["tags"]) == ("4 drawings", True, ["drawings"])


def test_a_worker_that_is_lost_loses_no_collective_caption(talking) -> None:
    http, worker = talking
    with worker() as first:
        url = submit(http, *PICTURES[:3], prompt="zzz {n} drawings | ? | ?")
        processes.until(lambda: http.get(url).json()["status"] == "running", what="first worker")
        first.send_signal(signal.SIGKILL)
        first.wait()
    with worker():
        job = finished(http, url)
    assert job["result"] == ["zzz 3 drawings"]
    assert [image["attempt"] for image in job["images"]] == [2]
    with http.stream("GET", f"{url}/events") as events:
        told = [line for line in events.iter_lines() if line.startswith("event: image")]
    assert len(told) == 1
