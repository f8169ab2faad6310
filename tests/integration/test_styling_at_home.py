"""Styles without Google: by a chat model of the workers, or a server that speaks OpenAI's API."""

import json
from collections.abc import Iterator

import httpx
import pytest

from captioner.styles import Style
from tests.integration.alone import stack as stack
from tests.integration.calls import files, problem
from tests.integration.styling import NONE_OUTSIDE
from tests.openai_server import KEY, MODEL, OpenAiServer
from tests.openai_server import serving as serving_openai
from tests.pictures import encoded, plain
from tests.processes import service
from tests.stacks import Stack
from tests.vllm_server import VllmServer, painted
from tests.vllm_server import serving as serving_vllm

ALL = list(map(str, Style))


@pytest.fixture(scope="module")
def vllm() -> Iterator[VllmServer]:
    with serving_vllm() as server:
        yield server


@pytest.fixture(scope="module")
def openai() -> Iterator[OpenAiServer]:
    with serving_openai() as server:
        yield server


@pytest.fixture(scope="module")
def base(
    stack: Stack, vllm: VllmServer, openai: OpenAiServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:  # fmt: skip
    env = {
        **stack.environment,
        **NONE_OUTSIDE,
        "CAPTIONER_STYLER": "local",
        "CAPTIONER_MODEL": "scenes",
        "CAPTIONER_MODELS": "scenes,talker",
        "CAPTIONER_MODEL_SOURCES": json.dumps({"talker": vllm.source}),
        "CAPTIONER_OPENAI_URL": openai.url,
        "CAPTIONER_OPENAI_KEY": KEY,
        "CAPTIONER_OPENAI_MODEL": MODEL,
    }
    with service(env, tmp_path_factory.mktemp("home"), timeout_s=240) as address:
        yield address


@pytest.fixture
def http(base: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base, timeout=120) as client:
        yield client


def test_the_first_chat_model_that_is_served_writes_the_styles(
    http: httpx.Client, vllm: VllmServer
) -> None:
    answer = http.post("/upload_image/", files={"file": plain()})
    assert answer.status_code == 200, answer.text
    assert [each["style"] for each in answer.json()] == ALL
    content = vllm.chats[-1]["messages"][1]["content"]
    assert [part["type"] for part in content] == ["text"]


def test_it_styles_the_captions_that_it_made_itself(http: httpx.Client, vllm: VllmServer) -> None:
    sent = files(encoded(painted("red")), encoded(painted("blue")))
    fields = {"model": "talker", "styles": "Poetic", "style_count": "1"}
    said = http.post("/captionImageBlocking", files=sent, data=fields).json()
    found = [each["styled"][0]["captions"][0] for each in said["styled"]]
    assert [text.split(" 😀")[0] for text in found] == [
        f"Poetic 1: {caption}" for caption in said["result"]
    ]


def test_a_request_may_name_another_styler(http: httpx.Client, openai: OpenAiServer) -> None:
    wish = {"styles": "Witty", "styler": "openai"}
    answer = http.post("/upload_image/", files={"file": plain()}, data=wish)
    assert answer.status_code == 200, answer.text
    assert openai.asked[-1]["model"] == MODEL


def test_gemini_without_a_key_is_a_503_and_captions_work(http: httpx.Client) -> None:
    wish = {"styler": "gemini"}
    answer = http.post("/upload_image/", files={"file": plain()}, data=wish)
    assert "CAPTIONER_GEMINI_API_KEY" in problem(answer, 503, "styler_unconfigured")["detail"]
    assert http.post("/captionImageBlocking", files=files(plain())).status_code == 200
