"""What went wrong in the project of the VLM API's document, and does not here."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.contract.vlm import EACH, FIELDS, NO, TOGETHER, YES, results, told
from tests.contract.vlm import gemini as gemini
from tests.contract.vlm import http as http
from tests.contract.vlm import stack as stack
from tests.integration.calls import problem
from tests.pictures import plain, png, sure


def test_a_remembered_caption_is_of_the_same_model_and_prompts(http) -> None:
    """Its cache keys were of the picture alone: whatever was asked, the first caption came."""
    picture = png(sure(1, seed=82)[0])

    def asked(**query: str) -> tuple[str, bool, bool | None]:
        (one,) = results(told(http, picture, **query))
        return one["caption"], one["cache"], one["flagged"]

    wall, door = {"caption_prompt": "a wall"}, {"caption_prompt": "a door"}
    assert asked(**wall) == ("a wall", False, None)
    assert asked(**wall) == ("a wall", True, None)
    assert asked(**door) == ("a door", False, None)
    seen, cached, _ = asked(model="scenes")
    assert (seen not in ("a wall", "a door"), cached) == (True, False)
    chat = {"model": "intern_vlm", **wall}
    assert asked(**chat, flag_caption_prompt=f"? | {NO}") == ("a wall", False, False)
    assert asked(**chat, flag_caption_prompt=f"? | {YES}") == ("a wall", False, True)
    assert asked(**chat, flag_caption_prompt=f"? | {YES}") == ("a wall", True, True)
    assert asked(**wall) == ("a wall", True, None)


def test_a_collection_is_remembered_by_its_order_and_prompts(http) -> None:
    """Its key was the hash of the hashes: the same for any model and prompt."""
    sent = [plain("navy"), plain("gold")]
    chat = {"route": TOGETHER, "model": "intern_vlm"}
    for prompt in ("{n} walls", "{n} doors", "{n} walls"):
        answer = told(http, *sent, **chat, caption_prompt=prompt)
        assert answer.json()["collective_caption"] == prompt.replace("{n}", "2")


@pytest.mark.parametrize("word", ["false", '{"flagged": "false"}'])
def test_the_text_false_is_not_true(http: httpx.Client, word: str) -> None:
    """`bool("false")` is true: every picture was flagged."""
    question = word if word == "false" else f"Is it? | {word}"
    answer = told(http, plain("red"), model="intern_vlm", caption_prompt="A wall.",
                  flag_caption_prompt=question)  # fmt: skip
    (one,) = results(answer)
    assert one["flagged"] is (None if word == "false" else False)


def test_one_bad_file_fails_alone_in_its_place(http: httpx.Client) -> None:
    """It took the other five along, and the answer was a 500."""
    drawn = sure(5, seed=83)
    good = [png(scene) for scene in drawn]
    cut = good[0][: len(good[0]) // 2]
    sent = [good[0], b"no picture", good[1], cut, good[2], b"", good[3], good[4]]
    found = results(told(http, *sent, model="scenes"))
    assert [one["caption"] for one in found if one["caption"]] == [s.caption for s in drawn]
    bad = {n: found[n] for n in (1, 3, 5)}
    assert {n: one["error"]["code"] for n, one in bad.items()} == {
        1: "unsupported_image_format",
        3: "image_truncated",
        5: "image_empty",
    }
    for n, one in bad.items():
        assert set(one) == FIELDS | {"error"}
        assert (one["filename"], one["caption"], one["tags"]) == (f"{n}.png", None, [])
        assert (one["flagged"], one["cache"]) == (None, False)
        assert one["error"]["title"]
        assert one["error"]["detail"]
    assert all(set(found[n]) == FIELDS for n in (0, 2, 4, 6, 7))


def test_where_all_files_are_bad_the_answer_has_the_same_form(http) -> None:
    found = results(told(http, b"no picture", b""))
    codes = [(one["filename"], one["error"]["code"]) for one in found]
    assert codes == [("0.png", "unsupported_image_format"), ("1.png", "image_empty")]
    (one,) = results(told(http, b"no picture"))
    assert one["error"]["code"] == "unsupported_image_format"
    cut = png(sure(1, seed=84)[0])
    (late,) = results(told(http, cut[: len(cut) // 2]))
    assert late["error"]["code"] == "image_truncated"


def test_a_fault_of_ours_is_no_success(http: httpx.Client) -> None:
    answer = told(http, plain("red"), plain("blue"), caption_prompt="!")
    body = problem(answer, 500, "caption_failed")
    assert [each["index"] for each in body["errors"]] == [0, 1]


def test_markup_stays_text(http: httpx.Client) -> None:
    """Its page put names and captions into HTML as they were; see tests/browser for ours."""
    name, caption = "<img src=x onerror=alert(1)>.png", "<script>alert(2)</script>"
    sent = [("images", (name, plain("red"), "image/png"))]
    answer = http.post(EACH, files=sent, params={"caption_prompt": caption})
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    (one,) = results(answer)
    assert (one["filename"], one["caption"]) == (name, caption)


def test_requests_at_once_choose_their_models_by_themselves(http: httpx.Client) -> None:
    """Each request has its own answer, whatever the others ask for at the same time."""
    begin = threading.Barrier(8)

    def ask(n: int) -> str:
        begin.wait()
        model = ("blip", "intern_vlm")[n % 2]
        (one,) = results(told(http, plain("red"), model=model, caption_prompt=f"wall {n}"))
        return one["caption"]

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(8))) == [f"wall {n}" for n in range(8)]


def test_nothing_of_a_prompt_is_a_template(http: httpx.Client) -> None:
    prompt = "a wall {{7*7}} ${7*7} %(x)s"
    (one,) = results(told(http, plain("red"), caption_prompt=prompt))
    assert json.dumps(one["caption"]) == json.dumps(prompt)
