"""Styled captions, by the real client of Gemini and a server with its wire format."""

import json
import time
from collections.abc import Iterator

import httpx
import pytest

from captioner.styles import Style
from tests.gemini_server import GARBAGE, UNSAFE, GeminiServer, serving
from tests.integration.alone import stack as stack
from tests.integration.calls import files, finished, problem
from tests.integration.styling import environment
from tests.integration.test_events import events
from tests.integration.test_metrics import samples
from tests.pictures import b64, plain, png, sure
from tests.processes import service, until
from tests.receivers import SECRET, receiver
from tests.stacks import Stack

ALL = list(map(str, Style))


@pytest.fixture(scope="module")
def place(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """The address of a service, and the port of its Gemini."""
    with serving() as first:
        env = environment(
            stack,
            first,
            style_timeout_s="6",
            cache_ttl_s="600",
            webhook_secrets=SECRET,
            outbound_allow="127.0.0.1:*",
            heartbeat_s="1",
        )
        with service(env, tmp_path_factory.mktemp("styling"), timeout_s=240) as base:
            first.close()
            yield base, first.port


@pytest.fixture
def gemini(place: tuple[str, int]) -> Iterator[GeminiServer]:
    with serving(place[1]) as server:
        yield server


@pytest.fixture
def http(place: tuple[str, int]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=place[0], timeout=120) as client:
        yield client


def test_all_eight_styles_with_two_captions_each(http: httpx.Client, gemini: GeminiServer) -> None:
    scene = sure(1)[0]
    answer = http.post("/upload_image/", files={"file": ("a.png", png(scene), "image/png")})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert [each["style"] for each in body] == ALL
    assert all(set(each) == {"style", "captions"} for each in body)
    assert body[0]["captions"] == [f"Witty {n}: {scene.caption} 😀 #picture #photo" for n in (1, 2)]


def test_options_of_a_form_and_of_a_query_reach_the_styler(
    http: httpx.Client, gemini: GeminiServer
) -> None:
    answer = http.post(
        "/upload_image/?style_count=1&style_hashtags=false",
        files={"file": ("a.png", plain(), "image/png")},
        data={"styles": "poetic, Short & Punchy", "style_emoji": "false", "style_tone": "dry",
              "style_language": "German"},
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert [each["style"] for each in answer.json()] == ["Poetic", "Short & Punchy"]
    assert [len(each["captions"]) for each in answer.json()] == [1, 1]
    wishes = gemini.asked[-1].wishes
    assert (wishes["tone"], wishes["language"]) == ("dry", "German")
    assert (wishes["emoji"], wishes["hashtags"]) == ("none", "none")


def test_styles_are_told_wherever_a_job_is_told(http: httpx.Client, gemini: GeminiServer) -> None:
    body = {"imgb64s": [b64(plain("blue"))], "styles": ["Witty"], "style_count": 1}
    with receiver() as hook:
        answer = http.post("/captionImageBlocking", json={**body, "webhook": hook.url})
        assert answer.status_code == 200, answer.text
        until(lambda: len(hook.received) == 1, what="webhook")
        told = json.loads(hook.received[0].body)["data"]
    said = answer.json()
    (entry,) = said["styled"]
    assert entry["style_status"] == "styled"
    assert entry["style_warning"] is None
    assert entry["styled"][0]["captions"][0].startswith(f"Witty 1: {said['result'][0]}")
    job = http.get(said["urls"]["self"]).json()
    (image,) = job["images"]
    assert {"index": 0, **{name: image[name] for name in entry if name != "index"}} == entry
    assert job["styling"]["styles"] == ["Witty"]
    assert told["styled"] == said["styled"]
    with http.stream("GET", f"{said['urls']['self']}/events") as stream:
        (seen,) = [event for event in events(stream) if event.name == "image"]
    assert seen.data["styled"] == entry["styled"]


def test_a_known_caption_is_styled_without_an_engine(
    http: httpx.Client, gemini: GeminiServer
) -> None:
    first = http.post("/captionImageBlocking", files=files(plain("green"))).json()
    assert "styled" not in first
    fields = {"styles": "all"}
    said = http.post("/captionImageBlocking", files=files(plain("green")), data=fields).json()
    image = http.get(said["urls"]["self"]).json()["images"][0]
    assert image["cached"]
    assert image["caption"] == first["result"][0]
    assert [each["style"] for each in image["styled"]] == ALL


def test_an_answer_of_no_use_is_asked_for_once_more(
    http: httpx.Client, gemini: GeminiServer
) -> None:
    gemini.troubles = [GARBAGE]
    answer = http.post("/upload_image/", files={"file": ("a.png", plain(), "image/png")})
    assert answer.status_code == 200, answer.text
    assert len(gemini.asked) == 2
    assert "of no use" in gemini.asked[1].words


def test_without_styles_the_picture_has_its_caption_and_a_warning(
    http: httpx.Client, gemini: GeminiServer
) -> None:
    gemini.troubles = [UNSAFE, UNSAFE]
    said = http.post(
        "/captionImageBlocking", files=files(plain("red")), data={"styles": "all"}
    ).json()
    assert said["status"] == "succeeded"
    (entry,) = said["styled"]
    assert entry["styled"] is None
    assert entry["style_status"] == "fallback"
    assert entry["style_warning"]["code"] == "styler_blocked"
    assert said["result"][0]


def test_an_upload_without_styles_is_a_502_with_the_plain_caption(
    http: httpx.Client, gemini: GeminiServer
) -> None:
    gemini.troubles = [GARBAGE, GARBAGE]
    answer = http.post("/upload_image/", files={"file": ("a.png", plain("red"), "image/png")})
    body = problem(answer, 502, "styler_garbled")
    job = http.get(body["urls"]["self"]).json()
    assert body["id"] == job["id"]
    assert [body["caption"]] == job["result"]
    assert job["status"] == "succeeded"


def test_captions_stream_while_they_are_written(http: httpx.Client, gemini: GeminiServer) -> None:
    gemini.pause_s = 0.06
    sent = {"file": ("a.png", plain("yellow"), "image/png")}
    headers = {"Accept": "text/event-stream"}
    with http.stream("POST", "/upload_image/", files=sent, headers=headers) as stream:
        seen = list(events(stream))
    names = [event.name for event in seen]
    assert names[0] == "accepted"
    assert names[-1] == "end"
    partial = [event.data for event in seen if event.name == "partial"]
    assert len(partial) >= 3
    sizes = [sum(len(s["captions"]) for s in each["styled"]) for each in partial]
    assert sizes == sorted(sizes)
    assert sizes[0] < 16
    (image,) = [event.data for event in seen if event.name == "image"]
    assert [each["style"] for each in image["styled"]] == ALL
    assert names.index("image") > max(n for n, name in enumerate(names) if name == "partial")


def test_who_comes_while_a_styler_is_silent_is_told_the_plain_captions(
    http: httpx.Client, gemini: GeminiServer
) -> None:
    gemini.takes_s = 20
    pictures = files(*map(plain, ("red", "tan", "navy")))
    url = http.post("/captionImage", files=pictures, data={"styles": "all"}).headers["Location"]

    def all_are_captioned() -> bool:
        return {i["status"] for i in http.get(url).json()["images"]} == {"styling"}

    until(lambda: all_are_captioned() and gemini.at_once > 0, what="calls")
    time.sleep(1)  # what was whispered is over
    told = {}
    with http.stream("GET", f"{url}/events") as stream:
        for event in events(stream):
            if event.name == "partial":
                told[event.data["position"]] = (bool(event.data["caption"]), event.data["styled"])
            if len(told) == 3:
                break
    assert told == dict.fromkeys(range(3), (True, []))
    http.post(f"{url}/cancel")
    assert finished(http, url)["status"] == "succeeded"


def test_a_canceled_job_keeps_its_captions_and_hangs_up(
    http: httpx.Client, gemini: GeminiServer
) -> None:
    gemini.takes_s = 20
    url = http.post(
        "/captionImage", files=files(plain("red"), plain("blue")), data={"styles": "all"}
    ).headers["Location"]
    until(lambda: gemini.at_once == 2, what="calls")
    assert {i["status"] for i in http.get(url).json()["images"]} == {"styling"}
    http.post(f"{url}/cancel")
    job = finished(http, url)
    assert job["status"] == "succeeded"
    for image in job["images"]:
        assert image["caption"]
        assert image["style_warning"]["code"] == "canceled"
        assert "styles" in image["style_warning"]["detail"]


def test_a_deadline_ends_the_wait_for_a_styler(http: httpx.Client, gemini: GeminiServer) -> None:
    gemini.takes_s = 20
    url = http.post(
        "/captionImage",
        files=files(plain("red")),
        data={"styles": "all"},
        headers={"Cancel-After": "1.5"},
    ).headers["Location"]
    (image,) = finished(http, url)["images"]
    assert image["caption"]
    assert image["style_warning"]["code"] == "deadline_passed"


@pytest.mark.parametrize(
    ("fields", "option"),
    [
        ({"styles": "Gothic"}, "styles"),
        ({"styles": "all", "style_count": "6"}, "style_count"),
        ({"styles": "all", "style_tone": "x" * 501}, "style_tone"),
        ({"styles": "all", "style_tone": "a\x07b"}, "style_tone"),
        ({"styles": "all", "styler": "bard"}, "styler"),
        ({"style_tone": "dry"}, "style_tone"),
    ],
    ids=str,
)
def test_a_wrong_wish_is_refused_by_name(
    http: httpx.Client, gemini: GeminiServer, fields: dict, option: str
) -> None:
    for route in ("/captionImage", "/captionImageBlocking"):
        answer = http.post(route, files=files(plain()), data=fields)
        assert problem(answer, 400, "invalid_style")["option"] == option
    assert gemini.asked == []


@pytest.mark.parametrize("styler", ["openai", "local"])
def test_a_styler_that_nobody_set_up_is_a_503(
    http: httpx.Client, gemini: GeminiServer, styler: str
) -> None:
    wish = {"styles": "all", "styler": styler}
    answer = http.post("/captionImage", files=files(plain()), data=wish)
    assert problem(answer, 503, "styler_unconfigured")["styler"] == styler
    assert http.post("/captionImageBlocking", files=files(plain())).status_code == 200


def test_an_upload_of_anything_but_one_picture_is_refused(
    http: httpx.Client, gemini: GeminiServer
) -> None:
    two = [("file", ("a.png", plain(), "image/png")), ("file", ("b.png", plain(), "image/png"))]
    problem(http.post("/upload_image/", files=two), 413, "too_many_images")
    problem(http.post("/upload_image/", json={"imgb64s": []}), 415, "unsupported_media_type")
    problem(http.post("/upload_image/", data={"x": "1"}), 415, "unsupported_media_type")
    problem(http.post("/upload_image/", files={"styles": (None, "all")}), 422, "no_images")
    answer = http.post("/upload_image/", files={"file": ("a.png", b"GIF89a nonsense", "image/gif")})
    assert answer.status_code in (415, 422)
    both = http.post("/upload_image/?styles=all", files={"file": plain()}, data={"styles": "all"})
    assert problem(both, 400, "invalid_style")["option"] == "styles"


def test_metrics_tell_what_became_of_styles(http: httpx.Client, gemini: GeminiServer) -> None:
    def told(*sample: str) -> float:
        return samples(http.get("/metrics").text)[sample]

    styled = ("styled_images_total", "styled", "gemini")
    before = told(*styled)
    sent = {"file": ("a.png", plain(), "image/png")}
    assert http.post("/upload_image/", files=sent).status_code == 200
    until(lambda: told(*styled) >= before + 1, what="count")
    assert told("styler_calls_total", "gemini") > before
    assert told("styler_breakers_open", "gemini") == 0
