"""Captions for Instagram, held to what the document of the source project says: each route, field
and status; and what went wrong there.
"""

import json
from collections.abc import Iterator

import httpx
import jsonschema
import pytest

from api.openapi import document
from scripts.scenes import draw
from tests import processes
from tests.gemini_server import (
    BUSY,
    DOWN,
    GARBAGE,
    KEY,
    RESET,
    TRUNCATED,
    UNSAFE,
    GeminiServer,
    Trouble,
    serving,
)
from tests.integration.calls import problem
from tests.integration.styling import NONE_OUTSIDE
from tests.pictures import b64, encoded, plain, png, scenes, sure
from tests.stacks import Stack

STYLES = ("Witty", "Inspirational", "Minimalist", "Poetic", "Intriguing Q&A", "Evocative",
          "Feeling-focused", "Short & Punchy")  # fmt: skip
LONGER = ("Witty & Humorous", "Inspirational / Motivational", "Minimalist / Aesthetic",
          "Poetic or Lyrical", "Intriguing Question & Answer", "Evocative (paints a scene)",
          "Feeling-focused / Emotional", "Short and punchy, under ten words")  # fmt: skip
ANSWER = document()["paths"]["/upload_image/"]["post"]["responses"]["200"]["content"]
COMPONENTS = document()["components"]


@pytest.fixture(scope="module")
def gemini_server() -> Iterator[GeminiServer]:
    with serving() as server:
        yield server


@pytest.fixture
def gemini(gemini_server: GeminiServer) -> Iterator[GeminiServer]:
    gemini_server.asked.clear()
    yield gemini_server
    gemini_server.troubles.clear()
    gemini_server.always = None


@pytest.fixture(scope="module")
def service(
    stack: Stack, gemini_server: GeminiServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Set up as the source project was: by GOOGLE_API_KEY alone. Its server is ours."""
    env = {**stack.environment, **NONE_OUTSIDE, "GOOGLE_API_KEY": KEY}
    env |= {
        "CAPTIONER_GEMINI_URL": gemini_server.url,
        "CAPTIONER_CORS_ORIGINS": "https://creators.example",
        "CAPTIONER_STYLE_TIMEOUT_S": "8",
    }
    with processes.service(env, tmp_path_factory.mktemp("service")) as base:
        yield base


def upload(http: httpx.Client, picture: bytes, name: str = "a.png", **how) -> httpx.Response:
    return http.post("/upload_image/", files={"file": (name, picture, "image/png")}, **how)


# POST /upload_image/: form field `file` in, an array of styles with two captions each out


def test_a_picture_gets_every_style_with_two_captions_each(http, gemini) -> None:
    scene = sure(1, seed=91)[0]
    answer = upload(http, png(scene))
    body = answer.json()
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    jsonschema.validate(body, {**ANSWER["application/json"]["schema"], "components": COMPONENTS})
    assert [each["style"] for each in body] == list(STYLES)
    for each in body:
        assert set(each) == {"style", "captions"}
        assert len(each["captions"]) == 2
        assert all(caption.startswith(each["style"]) for caption in each["captions"])
        assert all(scene.caption in caption and "#" in caption for caption in each["captions"])


def test_emoji_and_other_scripts_come_as_they_were_written(http, gemini) -> None:
    said = {"styles": [{"style": "Poetic", "captions": ["Licht 😏 «мир»", "光 & <b>"]}]}
    gemini.troubles = [Trouble(text=json.dumps(said, ensure_ascii=False))]
    answer = upload(http, plain(), params={"styles": "Poetic"})
    assert answer.json() == said["styles"]


def test_a_jpeg_is_taken_as_well(http, gemini) -> None:
    scene = sure(1, seed=92)[0]
    picture = encoded(draw(scene, width=320, height=240), "JPEG", quality=95)
    answer = upload(http, picture, "sample.jpg")
    assert answer.status_code == 200
    assert len(answer.json()) == 8


@pytest.mark.parametrize(
    "how",
    [
        {"params": {"styles": list(LONGER)}},
        {"params": {"styles": ", ".join(LONGER)}},
        {"data": {"styles": list(LONGER)}},
        {"data": {"styles": ", ".join(LONGER)}},
    ],
    ids=["query, several", "query, one", "form, several", "form, one"],
)
def test_the_longer_names_of_its_styles_are_taken(http, gemini, how: dict) -> None:
    answer = upload(http, plain(), **how)
    assert answer.status_code == 200, answer.text
    assert [each["style"] for each in answer.json()] == list(STYLES)


@pytest.mark.parametrize("styles", [list(LONGER), ", ".join(LONGER)], ids=["list", "text"])
def test_they_are_taken_in_json_as_well(http, gemini, styles: object) -> None:
    body = {"imgb64": b64(plain()), "styles": styles, "style_count": 1}
    (one,) = http.post("/captionImageBlocking", json=body).json()["styled"]
    assert [each["style"] for each in one["styled"]] == list(STYLES)


# GET /healthz, GET /readyz


def test_health_is_told_as_there(http) -> None:
    assert (http.get("/healthz").status_code, http.get("/healthz").json()) == (
        200,
        {"status": "ok"},
    )
    answer = http.get("/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (200, True)


def test_it_is_not_ready_before_the_model_is(stack, tmp_path) -> None:
    env = {**stack.environment, "CAPTIONER_MODEL": "blip", "CAPTIONER_MODELS": "blip"}
    with processes.service(env, tmp_path, workers=0, ready=False) as base:
        answer = httpx.get(f"{base}/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (503, False)
    assert answer.json()["reasons"]


# CORS enabled


def test_a_page_of_an_allowed_origin_may_call_it(http, gemini) -> None:
    origin = {"Origin": "https://creators.example"}
    asked = {**origin, "Access-Control-Request-Method": "POST"}
    before = http.options("/upload_image/", headers=asked)
    assert before.headers["Access-Control-Allow-Origin"] == "https://creators.example"
    assert "POST" in before.headers["Access-Control-Allow-Methods"]
    answer = upload(http, plain(), headers=origin)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://creators.example"


def test_a_page_of_another_origin_may_not(http, gemini) -> None:
    answer = upload(http, plain(), headers={"Origin": "https://elsewhere.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers


# What went wrong there


@pytest.mark.parametrize(
    ("troubles", "code"),
    [
        ([GARBAGE] * 2, "styler_garbled"),
        ([TRUNCATED] * 2, "styler_garbled"),
        ([UNSAFE] * 2, "styler_blocked"),
        ([DOWN] * 3, "styler_unavailable"),
        ([RESET] * 3, "styler_unavailable"),
    ],
    ids=["garbage", "truncated", "unsafe", "503", "cut"],
)
def test_an_error_is_no_success(http, gemini, troubles: list[Trouble], code: str) -> None:
    """It answered 200 with a style named "Error", and the error as its caption."""
    gemini.troubles = list(troubles)
    scene = scenes(1, seed=93)[0]
    body = problem(upload(http, png(scene)), 502, code)
    assert body["caption"]
    assert http.get(body["urls"]["self"]).json()["result"] == [body["caption"]]
    assert gemini.troubles == []
    assert upload(http, png(scene)).status_code == 200


@pytest.mark.parametrize("trouble", [GARBAGE, TRUNCATED, UNSAFE, BUSY, DOWN, RESET],
                         ids=["garbage", "truncated", "unsafe", "429", "503", "cut"])  # fmt: skip
def test_a_trouble_that_passes_is_not_noticed(http, gemini, trouble: Trouble) -> None:
    gemini.troubles = [trouble]
    answer = upload(http, plain())
    assert (answer.status_code, len(answer.json())) == (200, 8)
    assert len(gemini.asked) == 2


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"no picture", "unsupported_image_format"),
        (b"", "image_empty"),
        (plain()[:60], "image_truncated"),
    ],
    ids=["text", "nothing", "half"],
)
def test_a_bad_picture_is_told_and_nothing_is_asked(http, gemini, data: bytes, code: str) -> None:
    """It was a 500, or captions of an error."""
    body = upload(http, data).json()
    assert body["status"] in (400, 415, 422)
    assert code in (body["code"], *(each["code"] for each in body.get("errors", ())))
    assert gemini.asked == []


def test_the_picture_stays_on_the_machine(http, gemini) -> None:
    """As it was promised there; of what was sent, only the description is in the request."""
    scene = sure(1, seed=94)[0]
    data = png(scene)
    assert upload(http, data, "secret-name.png").status_code == 200
    (asked,) = gemini.asked
    assert asked.wishes["description"] == scene.caption
    assert b"secret-name" not in asked.body
    assert b"inlineData" not in asked.body
    assert len(asked.body) < 20_000
