"""Lengths, alt text, the lint's second try, tags and flags, through a real API and worker."""

import json
from collections.abc import Iterator

import httpx
import pytest

from captioner.catalog import SCENES_FOLDER
from captioner.images import ImageLimits, decode, fit
from captioner.options import UNSAFE, Length, Options
from captioner.settings import Settings
from tests import processes, talker
from tests.integration.alone import stack as stack
from tests.integration.calls import files, problem
from tests.integration.test_right_answers import CPU
from tests.pictures import b64, plain, png, scenes
from tests.stacks import Stack
from worker.alt_text import MAX_CHARS
from worker.dialogue import Dialogue, Said
from worker.engines import blip_reference
from worker.lint import CHARS

DRAWN = scenes(12, seed=31)
PICTURES = [png(scene) for scene in DRAWN]
LOOP = "a dog dog dog dog on sand"
LONG_TEXT = " ".join(f"word{n}" for n in range(20))
ENVIRONMENT = {
    "CAPTIONER_MODEL": "intern_vlm",
    "CAPTIONER_MODELS": "intern_vlm,blip",
    "CAPTIONER_CACHE_TTL_S": "600",
    "CAPTIONER_MAX_PROMPT_CHARS": "2000",
}


@pytest.fixture(scope="module")
def said():
    """What transformers' own `generate` says in the course of a dialogue about a picture."""
    engine = blip_reference.load(
        str(SCENES_FOLDER), revision="main", placement=CPU, max_new_tokens=20
    )
    limits = ImageLimits.from_settings(Settings())

    def talk(picture: bytes, options: Options) -> Said:
        pixels = fit(decode(picture, limits), engine.image_size)
        dialogue, told = Dialogue(options, chats=False), None
        while told is None:
            told = dialogue.hears(engine.caption([pixels], dialogue.asks)[0])
        return told

    return talk


@pytest.fixture(scope="module")
def talking(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service whose models say what they are told."""
    folder = tmp_path_factory.mktemp("talking")
    environment = {**stack.environment, **ENVIRONMENT}
    with (
        processes.service(environment, folder, workers=0, ready=False) as base,
        processes.running(talker.COMMAND, processes.environment(environment), log=folder / "w.log"),
        httpx.Client(base_url=base, timeout=60) as http,
    ):
        processes.until(lambda: http.get("/readyz").status_code == 200, what="ready worker")
        yield http


def captioned(http: httpx.Client, *pictures: bytes, **body) -> dict:
    answer = http.post("/captionImageBlocking", json={"imgb64s": [*map(b64, pictures)], **body})
    assert answer.status_code == 200, answer.text
    return http.get(f"/captionImage/{answer.json()['id']}").json()


def about(http: httpx.Client, *texts: str, **body) -> dict:
    """The one image of a job whose model says this: first, again, and of a flag."""
    return captioned(http, plain("teal"), prompt=" | ".join(texts), **body)["images"][0]


@pytest.mark.parametrize("length", list(Length))
def test_a_length_is_kept_by_a_model_that_goes_on_with_a_text(http, said, length) -> None:
    images = captioned(http, *PICTURES, length=length.value)["images"]
    expected = [said(picture, Options(length=length)) for picture in PICTURES]
    assert [image["caption"] for image in images] == [each.caption.text for each in expected]
    assert [image["retried_for"] for image in images] == [each.retried_for for each in expected]
    again = {image["retried_for"] for image in images}
    assert again == ({None, "repetition"} if length is Length.LONG else {None})
    shortest, longest = CHARS[length]
    assert all(shortest <= len(image["caption"]) <= longest + 1 for image in images)


def test_alt_text_is_a_sentence_of_at_most_125_characters(http) -> None:
    for form in ({}, {"prompt": "a picture of"}):
        answer = http.post(
            "/captionImageBlocking", files=files(*PICTURES), data={"length": "alt_text", **form}
        )
        for caption, scene in zip(answer.json()["result"], DRAWN, strict=True):
            assert len(caption) <= MAX_CHARS
            assert caption == scene.caption[0].upper() + scene.caption[1:] + "."


def test_captions_as_they_should_be_are_made_once(http) -> None:
    images = captioned(http, *PICTURES)["images"]
    assert [image["caption"] for image in images] == [scene.caption for scene in DRAWN]
    assert {image["retried_for"] for image in images} == {None}
    assert {(image["tags"], image["flagged"]) for image in images} == {(None, None)}


def test_a_blocking_call_tells_tags_and_flags_where_they_were_asked_for(talking) -> None:
    def told(**body: object) -> dict:
        sent = {"imgb64s": [b64(plain("teal")), b64(b"none")], **body}
        answer = talking.post("/captionImageBlocking", json=sent)
        assert answer.status_code == 200, answer.text
        return answer.json()

    usual = told(prompt="A teal wall.")
    assert set(usual) == {"id", "msg", "status", "result", "errors", "urls"}
    prompt = 'A teal wall. | ? | {"flagged": "false"}'
    tagged, flagged = {"tags": [["teal", "wall"], None]}, {"flagged": [False, None]}
    for asked, more in (
        ({"tags": True}, tagged),
        ({"flag": prompt}, flagged),
        ({"tags": True, "flag": prompt}, tagged | flagged),
    ):
        body = told(prompt="A teal wall.", **asked)
        assert set(body) == set(usual) | set(more)
        assert {name: body[name] for name in more} == more
        assert body["result"] == ["A teal wall.", None]


@pytest.mark.parametrize("sent", ["json", "form"])
def test_tags_come_with_the_caption(http, sent) -> None:
    if sent == "json":
        answer = http.post("/captionImage", json={"imgb64s": [b64(PICTURES[0])], "tags": True})
    else:
        answer = http.post("/captionImage", files=files(PICTURES[0]), data={"tags": "true"})
    url = answer.headers["Location"]
    processes.until(lambda: http.get(url).json()["status"] == "succeeded", what="end of the job")
    job = http.get(url).json()
    assert job["images"][0]["tags"] == ["purple", "trees", "below", "blue", "house", "gray"]
    assert job["options"] == {"tags": True}
    with http.stream("GET", f"{url}/events") as events:
        told = [line for line in events.iter_lines() if line.startswith("data:")]
    assert json.loads(told[0].removeprefix("data:"))["tags"] == job["images"][0]["tags"]


def test_a_flag_of_a_model_that_cannot_answer_is_null(http) -> None:
    image = captioned(http, PICTURES[0], flag="Is there a house?")["images"][0]
    assert (image["caption"], image["flagged"]) == (DRAWN[0].caption, None)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"flag": 1}, "flag"), ({"tags": "true"}, "tags"), ({"tags": 1}, "tags"),
        ({"again": "empty"}, "again"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_such_wish_is_refused(http, options, named) -> None:
    response = http.post("/captionImage", json={"imgb64s": [b64(PICTURES[0])], **options})
    assert named in problem(response, 422, "invalid_request")["detail"]


def test_a_question_for_a_flag_is_text_as_a_prompt_is(http) -> None:
    body = {"imgb64s": [b64(PICTURES[0])], "flag": "x" * 501}
    problem(http.post("/captionImage", json=body), 422, "invalid_prompt")


LINES = "Be brief.\n\t- Say what is red."


@pytest.mark.parametrize("name", ["prompt", "system"])
def test_a_chat_model_may_be_told_in_lines(talking, name) -> None:
    job = captioned(talking, plain("teal"), **{name: f"{LINES}\n"})
    assert {"prompt": job["prompt"], **job["options"]}[name] == LINES
    form = {name: LINES.replace("\n", "\r\n")}  # as browsers send them
    answer = talking.post("/captionImageBlocking", files=files(plain("teal")), data=form)
    assert answer.status_code == 200, answer.text
    job = talking.get(f"/captionImage/{answer.json()['id']}").json()
    assert {"prompt": job["prompt"], **job["options"]}[name] == LINES


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": "a\x00b"},
        {"prompt": "a\x1b[31mb"},
        {"system": "a\rb"},
        {"language": "German\nEnglish"},
        {"flag": "Is it red?\nReally?"},
        {"prompt": LINES, "model": "blip"},
    ],
    ids=str,
)
def test_other_control_characters_and_others_lines_are_refused(talking, body) -> None:
    answer = talking.post("/captionImage", json={"imgb64s": [b64(plain())], **body})
    problem(answer, 422, "invalid_prompt")


@pytest.mark.parametrize(
    ("first", "second", "body", "caption", "fault"),
    [
        (LOOP, "a dog on sand", {}, "a dog on sand", "repetition"),
        (LOOP, LOOP, {}, LOOP, "repetition"),
        (LOOP, "!", {}, LOOP, "repetition"),
        ("", "a dog", {}, "a dog", "empty"),
        ("an image of a dog", "a dog", {}, "a dog", "stock_opening"),
        ("An image of a dog.", "This photo shows a dog.", {}, "A dog.", "stock_opening"),
        (LONG_TEXT, "A dog.", {"length": "short"}, "A dog.", "too_long"),
        ("A dog.", LOOP, {"length": "long"}, "A dog.", "too_short"),
        ("an image of a dog!", "!", {"length": "alt_text"}, "A dog.", None),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_caption_that_is_at_fault_is_asked_for_once_more(
    talking, first, second, body, caption, fault
) -> None:
    image = about(talking, first, second, "?", **body)
    assert (image["status"], image["caption"], image["retried_for"]) == (
        "succeeded",
        caption,
        fault,
    )


def test_nothing_said_twice_is_a_failure(talking) -> None:
    answer = talking.post(
        "/captionImageBlocking", json={"imgb64s": [b64(plain())], "prompt": " | | "}
    )
    assert [each["code"] for each in answer.json()["errors"]] == ["caption_failed"]


def test_one_picture_at_fault_holds_up_no_other(talking) -> None:
    pictures = [plain(colour) for colour in ("red", "green", "blue", "white", "black")]
    slow = captioned(talking, *pictures, prompt=f"{LOOP} | a dog | ?")
    assert slow["result"] == ["a dog"] * 5
    assert {image["retried_for"] for image in slow["images"]} == {"repetition"}
    assert {image["attempt"] for image in slow["images"]} == {1}


@pytest.mark.parametrize(
    ("answer", "flagged"),
    [
        ('{"flagged": true}', True), ('{"flagged": false}', False),
        ('{"flagged": "false"}', False), ('{"flagged": "true"}', True),
        ("no", None), ("!", None),
    ],
)  # fmt: skip
def test_a_flag_is_what_the_model_answers(talking, answer, flagged) -> None:
    dialogue = f"A dog. | A dog. | {answer}"
    # The question is the prompt of a run of its own, so it tells this engine what to say.
    image = about(talking, "A dog.", "A dog.", "?", flag=dialogue, tags=True)
    assert (image["caption"], image["flagged"], image["tags"]) == ("A dog.", flagged, ["dog"])


@pytest.mark.parametrize("sent", [True, "true"])
def test_a_flag_without_a_question_asks_whether_it_is_unsafe(talking, sent) -> None:
    job = captioned(talking, plain(), flag=sent)
    assert job["options"] == {"flag": UNSAFE}
    assert job["images"][0]["flagged"] is None  # this engine says the question again


def test_no_flag_is_asked_for_by_false(talking) -> None:
    assert captioned(talking, plain(), flag=False)["options"] == {}


def test_what_is_remembered_says_all_that_was_said(talking) -> None:
    body = {"flag": 'x | x | {"flagged": true}', "tags": True}
    texts = (LOOP, "a dog on sand", "?")
    first, again = about(talking, *texts, **body), about(talking, *texts, **body)
    assert (first["cached"], again["cached"]) == (False, True)
    for name in ("caption", "score", "retried_for", "tags", "flagged", "model_revision"):
        assert again[name] == first[name]
        assert first[name] is not None
