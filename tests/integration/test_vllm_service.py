"""The whole service in front of a vLLM server: nothing is loaded, and nothing lost."""

import json
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.integration.alone import stack as stack
from tests.integration.calls import files, finished, problem
from tests.pictures import encoded
from tests.processes import service, until
from tests.stacks import Stack
from tests.vllm_server import MODEL, SLOW, Trouble, VllmServer, painted
from tests.vllm_server import serving as serving_vllm


@pytest.fixture(scope="module")
def port(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """The address of a service, and the port of the server that it asks."""
    with serving_vllm() as first:
        env = {
            **stack.environment,
            "CAPTIONER_MODEL": "gemma",
            "CAPTIONER_MODELS": "gemma",
            "CAPTIONER_MODEL_SOURCES": json.dumps({"gemma": first.source}),
            "CAPTIONER_MAX_ATTEMPTS": "1",
        }
        with service(env, tmp_path_factory.mktemp("vllm")) as base:
            first.close()
            yield base, first.port


@pytest.fixture
def vllm(port: tuple[str, int]) -> Iterator[VllmServer]:
    with serving_vllm(port[1]) as server:
        yield server


@pytest.fixture
def http(port: tuple[str, int]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=port[0], timeout=120) as client:
        yield client


def picture(colour: str, width: int = 64, height: int = 48) -> bytes:
    return encoded(painted(colour, width, height))


def test_captions_come_from_the_server(http: httpx.Client, vllm: VllmServer) -> None:
    sent = files(picture("red"), picture("green", 3000, 1500))
    answer = http.post("/captionImageBlocking", files=sent, data={"language": "de"})
    assert answer.json()["result"] == ["A red picture, 64 by 48.", "A green picture, 1024 by 512."]
    image = http.get(f"/captionImage/{answer.json()['id']}").json()["images"][0]
    assert image["score"] == pytest.approx(-0.1)
    assert image["model_revision"] == f"vllm:{MODEL}"
    assert vllm.chats[-1]["messages"][1]["content"][1]["text"].endswith("Answer in German.")


def test_lengths_and_flags_are_asked_in_words(http: httpx.Client, vllm: VllmServer) -> None:
    data = {"length": "short", "flag": "Is it red?"}
    body = http.post("/captionImageBlocking", files=files(picture("red")), data=data).json()
    assert body["result"] == ["A red picture, 64 by 48."]
    first, second = (chat["messages"][1]["content"][1]["text"] for chat in vllm.chats[-2:])
    assert "one short sentence" in first
    assert second == "Is it red?"


def test_one_caption_is_of_all_pictures_each_in_its_own_shape(
    http: httpx.Client, vllm: VllmServer
) -> None:
    sent = files(picture("red"), picture("green", 3000, 1500), picture("blue", 30, 90))
    data = {"collective": "true", "flag": "Is one red?"}
    answer = http.post("/captionImageBlocking", files=sent, data=data)
    assert answer.json()["result"] == [
        "A red picture, 64 by 48. A green picture, 1024 by 512. A blue picture, 30 by 90."
    ]
    first, second = (chat["messages"][1]["content"] for chat in vllm.chats[-2:])
    assert [part["type"] for part in first] == [*("image_url",) * 3, "text"]
    assert "these 3 pictures" in first[-1]["text"]
    assert [part["type"] for part in second] == [*("image_url",) * 3, "text"]
    assert second[-1]["text"] == "Is one red?"


def test_a_server_that_takes_fewer_pictures_says_so(http: httpx.Client, vllm: VllmServer) -> None:
    vllm.most_pictures = 1
    sent = files(picture("red"), picture("blue"))
    answer = http.post("/captionImageBlocking", files=sent, data={"collective": "true"})
    assert "At most 1 image(s)" in problem(answer, 500, "caption_failed")["detail"]


@pytest.mark.parametrize("data", [{"num_beams": "2"}, {"no_repeat_ngram": "2"}], ids=str)
def test_what_the_server_cannot_do_is_refused(
    http: httpx.Client, vllm: VllmServer, data: dict
) -> None:
    answer = http.post("/captionImage", files=files(picture("red")), data=data)
    assert [problem(answer, 422, "invalid_option")["option"]] == list(data)


def test_a_picture_that_the_server_refuses_fails_alone(
    http: httpx.Client, vllm: VllmServer
) -> None:
    vllm.troubles["red"] = Trouble(400, "too many tokens")
    body = http.post("/captionImageBlocking", files=files(picture("red"), picture("blue"))).json()
    assert (body["status"], body["result"]) == ("partial", [None, "A blue picture, 64 by 48."])
    (error,) = body["errors"]
    assert (error["index"], error["code"]) == (0, "caption_failed")
    assert "too many tokens" in error["detail"]


def test_while_the_server_is_away_pictures_wait(http: httpx.Client, port: tuple[str, int]) -> None:
    answer = http.post("/captionImage", files=files(picture("red"), picture("blue")))
    url = answer.headers["Location"]
    until(lambda: http.get(url).json()["started_at"] is not None, what="first try", timeout_s=30)
    time.sleep(2)
    assert http.get(url).json()["counts"]["unfinished"] == 2
    with serving_vllm(port[1]):
        job = finished(http, url)
    assert job["result"] == ["A red picture, 64 by 48.", "A blue picture, 64 by 48."]
    assert job["status"] == "succeeded"  # the tries were none of its one attempt


def test_a_cancelled_job_closes_its_calls(http: httpx.Client, vllm: VllmServer) -> None:
    vllm.troubles["red"] = SLOW
    url = http.post("/captionImage", files=files(picture("red"))).headers["Location"]
    until(lambda: vllm.at_once == 1, what="call")
    http.post(f"{url}/cancel")
    until(lambda: vllm.hung_up == 1, what="closed connection", timeout_s=15)
    assert finished(http, url)["status"] == "canceled"
