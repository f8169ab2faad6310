"""A picture's way through all processes is one trace, told by OTLP to a real receiver."""

import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from secrets import token_hex

import httpx
import pytest

from tests.empty import emptied
from tests.integration.calls import files, finished
from tests.otlp_receiver import Receiver, Told, receiving
from tests.pictures import plain, png, sure
from tests.processes import service, until
from tests.stacks import Stack

CANARY = "Canary-a7f3"


@pytest.fixture
def told(stack: Stack, tmp_path: Path) -> Iterator[tuple[str, Receiver]]:
    """A service that tells its traces, and who hears them. The endpoint has its usual name."""
    with emptied(stack, tmp_path) as own, receiving() as receiver:
        environment = {
            **own.environment,
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "CAPTIONER_RECONCILE_S": "60",
        }
        with service(environment, tmp_path) as base:
            yield base, receiver


def the(receiver: Receiver, name: str) -> Told:
    (found,) = receiver.named(name)
    return found


def heard(receiver: Receiver, *names: str, times: int = 1) -> None:
    for name in names:
        until(lambda: len(receiver.named(name)) >= times, what=f"span {name}", timeout_s=20)  # noqa: B023


def test_a_picture_is_one_trace_from_the_request_to_the_batch(told) -> None:
    base, receiver = told
    theirs = token_hex(16), token_hex(8)
    (scene,) = sure(1)
    answer = httpx.post(
        f"{base}/captionImageBlocking",
        files=[("images", (f"{CANARY}.png", png(scene), "image/png"))],
        headers={"traceparent": f"00-{theirs[0]}-{theirs[1]}-01"},
        timeout=60,
    )
    assert answer.json()["result"] == [scene.caption]
    heard(receiver, "POST /captionImageBlocking", "publish", "image", "batch", "store")
    request, submit = the(receiver, "POST /captionImageBlocking"), the(receiver, "submit")
    image, batch = the(receiver, "image"), the(receiver, "batch")
    stages = [the(receiver, name) for name in ("claim", "decode", "caption", "store")]

    assert {span.trace for span in receiver.spans} == {theirs[0]}
    assert request.parent == theirs[1]
    assert submit.parent == request.id
    assert the(receiver, "publish").parent == image.parent == submit.id
    assert {stage.parent for stage in stages} == {image.id}
    caption = stages[2]
    assert batch.parent == caption.id
    assert batch.links == ((theirs[0], caption.id),)
    assert {span.service for span in (request, submit)} == {"captioner-api"}
    assert {span.service for span in (image, batch)} == {"captioner-worker"}
    for before, after in pairwise(stages):
        assert before.ended_ns <= after.began_ns + 1e6
    assert caption.began_ns <= batch.began_ns <= batch.ended_ns <= caption.ended_ns
    job_id = answer.json()["id"]
    assert submit.attributes["captioner.job_id"] == image.attributes["captioner.job_id"] == job_id
    assert batch.attributes == {"captioner.model": "scenes", "captioner.images": 1}
    assert request.attributes["http.response.status_code"] == 200


def test_a_batch_is_linked_to_all_its_pictures_and_says_nothing_of_them(told) -> None:
    base, receiver = told
    with httpx.Client(base_url=base, timeout=60) as http:
        picture = files(*map(png, sure(6, seed=2)), plain(width=320)[:-40])
        picture = [(field, (CANARY + name, *rest)) for field, (name, *rest) in picture]
        accepted = http.post(
            "/captionImage", files=picture, data={"prompt": "a drawing of"}, params={}
        )
        assert finished(http, accepted.headers["Location"])["counts"]["succeeded"] == 6
        http.get(f"/captionImage/{CANARY}?{CANARY}={CANARY}", headers={"X-API-Key": CANARY})
    heard(receiver, "store", times=7)
    heard(receiver, "GET /captionImage/<job_id>")
    captions = {(span.trace, span.id) for span in receiver.named("caption")}
    batches = receiver.named("batch")

    assert len({span.trace for span in receiver.named("image")}) == 1
    assert sorted(link for batch in batches for link in batch.links) == sorted(captions)
    assert sum(batch.attributes["captioner.images"] for batch in batches) == len(captions) == 6
    (failed,) = [s for s in receiver.named("image") if "error.type" in s.attributes]
    assert failed.attributes["error.type"] == "image_truncated"
    everything = b"".join(receiver.bodies)
    assert CANARY.encode() not in everything
    assert b"a drawing of" not in everything
    assert not {span.name for span in receiver.spans} & {"GET /healthz", "GET /readyz"}


def test_a_receiver_that_is_away_costs_nobody_a_caption(stack, tmp_path) -> None:
    with emptied(stack, tmp_path) as own:
        away = {"CAPTIONER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "50"}
        with service({**own.environment, **away}, tmp_path) as base:
            for scene in sure(3):
                answer = httpx.post(f"{base}/captionImageBlocking", files=files(png(scene)))
                assert answer.json()["result"] == [scene.caption]


def test_without_an_endpoint_nothing_that_tells_spans_is_imported() -> None:
    """redis-py imports OpenTelemetry's metrics by itself, where they are installed."""
    script = (
        "from api.app import create_app; create_app()\n"
        "import worker.runtime, worker.pipeline, sys\n"
        "print([name for name in sys.modules if name.startswith(\n"
        "    ('opentelemetry.sdk.trace', 'opentelemetry.exporter', 'google.protobuf'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
