"""Two models and place for one, through the whole service: everything is served, in groups."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from captioner.broker import sending_app
from captioner.catalog import SCENES_FOLDER
from captioner.publishing import Publisher
from captioner.work import Parcel
from tests import processes
from tests.integration.alone import stack as stack
from tests.integration.calls import FINAL, files
from tests.integration.conftest import settings_of
from tests.pictures import png, sure
from tests.stacks import Stack
from worker.engines.places import LINGER_S

JOBS, EACH = 10, 3
MODELS = ("scenes", "mine")
SOURCES = {"mine": str(SCENES_FOLDER)}


@pytest.fixture(scope="module")
def base(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    environment = {
        **stack.environment,
        "CAPTIONER_MODELS": ",".join(MODELS),
        "CAPTIONER_MODEL_SOURCES": json.dumps(SOURCES),
        "CAPTIONER_MODEL_CAPACITY": "1",
        "CAPTIONER_MODEL_TURN_S": "5",
        "CAPTIONER_HEARTBEAT_S": "2",
        "CAPTIONER_CACHE_TTL_S": "600",
    }
    folder: Path = tmp_path_factory.mktemp("service")
    with processes.service(environment, folder) as address:
        yield address


def states(base: str) -> dict[str, str]:
    (worker,) = httpx.get(f"{base}/workers").json()
    return {name: model["state"] for name, model in worker["models"].items()}


def counted(base: str, metric: str) -> float:
    return sum(
        sample.value
        for family in text_string_to_metric_families(httpx.get(f"{base}/metrics").text)
        for sample in family.samples
        if sample.name == f"captioner_{metric}"
    )


def test_jobs_for_two_models_in_turns_all_get_their_captions_after_few_loads(base) -> None:
    assert states(base) == {"scenes": "ready", "mine": "on demand"}
    scenes = sure(2 * JOBS * EACH, seed=52)
    sent = []
    for n in range(2 * JOBS):
        mine = scenes[n * EACH : (n + 1) * EACH]
        posted = httpx.post(
            f"{base}/captionImage",
            files=files(*map(png, mine)),
            data={"model": MODELS[n % 2]},
            timeout=60,
        )
        assert posted.status_code == 202, posted.text
        sent.append((base + posted.headers["Location"], [scene.caption for scene in mine]))
    ready = []
    for url, captions in sent:
        processes.until(
            lambda url=url: httpx.get(url).json()["status"] in FINAL,
            what="end of the job",
            timeout_s=120,
        )
        job = httpx.get(url).json()
        assert (job["status"], job["result"]) == ("succeeded", captions)
        ready.append(httpx.get(f"{base}/readyz").status_code)
    assert set(ready) == {200}
    images = len(sent) * EACH
    processes.until(lambda: counted(base, "batch_images_sum") == images, what="counted batches")
    loads, evictions = counted(base, "model_loads_total"), counted(base, "model_evictions_total")
    print(f"{len(sent)} jobs in turns: {loads:.0f} loads, {evictions:.0f} evictions")
    assert loads == evictions + 1 <= len(sent) / 2
    assert counted(base, "tokens_total") > images
    assert counted(base, "stage_seconds_total") > 0


def test_a_message_that_finds_nothing_left_to_do_loads_no_model(base, stack) -> None:
    (away,) = (name for name, state in states(base).items() if state == "on demand")
    settings = settings_of(stack, models=",".join(MODELS), model_sources=SOURCES)
    publisher = Publisher(sending_app(settings), on_failure=lambda parcel: None, size=16)
    loads, images = (counted(base, each) for each in ("model_loads_total", "batch_images_sum"))
    publisher.send(Parcel(uuid4(), away, (0,)))
    processes.until(lambda: publisher.waiting(away) == 0, what="that the message was taken")
    time.sleep(3 * LINGER_S)  # it is handled within that, and else waits for the picture's end
    (there,) = (name for name in MODELS if name != away)
    answer = httpx.post(
        f"{base}/captionImageBlocking",
        files=files(png(sure(1, seed=54)[0])),
        data={"model": there},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    processes.until(  # what is told of a picture after the message is told of the message, too
        lambda: counted(base, "batch_images_sum") == images + 1, what="counted batch"
    )
    assert counted(base, "model_loads_total") == loads


def test_captions_of_a_model_that_is_not_there_are_remembered(base) -> None:
    picture = png(sure(1, seed=53)[0])

    def captioned(model: str) -> dict:
        answer = httpx.post(
            f"{base}/captionImageBlocking", files=files(picture), data={"model": model}, timeout=60
        )
        assert answer.status_code == 200, answer.text
        return httpx.get(base + answer.json()["urls"]["self"]).json()["images"][0]

    first = captioned("mine")
    assert (first["cached"], captioned("scenes")["cached"]) == (False, False)
    processes.until(
        lambda: states(base) == {"scenes": "ready", "mine": "on demand"}, what="change of models"
    )
    again = captioned("mine")
    assert (again["cached"], again["caption"]) == (True, first["caption"])
    assert states(base)["mine"] == "on demand"
