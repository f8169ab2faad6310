"""A service for the contract of the VLM API, and calls to it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import jsonschema
import pytest

from api.openapi import document
from tests import processes, stacks, talker
from tests.gemini_server import GeminiServer, serving
from tests.integration.calls import files, ready_models
from tests.integration.styling import environment as with_styles
from tests.stacks import Stack

MODELS = ("blip", "intern_vlm", "scenes")
ENVIRONMENT = {
    "CAPTIONER_MODEL": "blip",
    "CAPTIONER_MODELS": ",".join(MODELS),
    "CAPTIONER_CACHE_TTL_S": "600",
    "CAPTIONER_MAX_PROMPT_CHARS": "100",
    "CAPTIONER_MAX_IMAGES": "40",
}
TALKS = {"CAPTIONER_MODELS": "blip,intern_vlm"}
SEES = {"CAPTIONER_MODEL": "scenes", "CAPTIONER_MODELS": "scenes"}
WORKER = [processes.CAPTIONER, "worker"]
EACH, TOGETHER = "/api/caption-images", "/api/caption-collective-images"
FIELDS = {"filename", "caption", "tags", "flagged", "cache"}
YES, NO = '{"flagged": true}', '{"flagged": "false"}'
SCHEMAS = document()["components"]["schemas"]


@pytest.fixture(scope="module", params=stacks.NAMES)
def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    with stacks.started(request.param, tmp_path_factory.mktemp(request.param)) as started:
        yield started


@pytest.fixture(scope="module")
def gemini() -> Iterator[GeminiServer]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def http(
    stack: Stack, gemini: GeminiServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A service whose blip and intern_vlm say what they are told; its scenes looks at pictures."""
    folder: Path = tmp_path_factory.mktemp("service")
    environment = {**with_styles(stack, gemini), **ENVIRONMENT}
    upgraded = [processes.CAPTIONER, "db", "upgrade"]
    with processes.running(upgraded, environment, log=folder / "db.log") as upgrade:
        assert upgrade.wait(timeout=60) == 0
    with (
        processes.service(environment, folder, workers=0, ready=False) as base,
        processes.running(talker.COMMAND, {**environment, **TALKS}, log=folder / "talker.log"),
        processes.running(WORKER, {**environment, **SEES}, log=folder / "worker.log"),
        httpx.Client(base_url=base, timeout=90) as client,
    ):
        ready = lambda: ready_models(client) == set(MODELS)  # noqa: E731
        processes.until(ready, what="ready workers", timeout_s=180)
        yield client


def told(client: httpx.Client, *pictures: bytes, route: str = EACH, **query: str) -> httpx.Response:
    return client.post(route, files=files(*pictures), params=query)


def results(answer: httpx.Response) -> list[dict]:
    assert answer.status_code == 200, answer.text
    check("VlmResults", answer)
    assert set(answer.json()) == {"results"}
    return answer.json()["results"]


def check(schema: str, answer: httpx.Response) -> None:
    jsonschema.validate(answer.json(), {**SCHEMAS[schema], "components": {"schemas": SCHEMAS}})
