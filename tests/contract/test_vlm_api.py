"""The VLM API as its document has it: every route, field and status.

The document is of a FastAPI service that captions with BLIP, BLIP-2, Gemma 3 and InternVL. Its
routes answer here as it says, from the same jobs as all others. What is otherwise here, by design,
has a line in docs/guides/vlm.md. Resetting the cache and the metrics have tests of their own.
"""

import httpx
import pytest
from PIL import Image

from api.forms import StyleFields
from tests import processes
from tests.contract.vlm import EACH, FIELDS, MODELS, NO, TOGETHER, YES, check, results, told
from tests.contract.vlm import gemini as gemini
from tests.contract.vlm import http as http
from tests.contract.vlm import stack as stack
from tests.integration.calls import files, problem
from tests.pictures import encoded, plain, png, sure


class TestEachPicture:
    """POST /api/caption-images"""

    def test_the_answer_has_the_fields_of_the_document(self, http: httpx.Client) -> None:
        answer = told(http, plain("red"), model="blip", caption_prompt="a photo of a red wall")
        (one,) = results(answer)
        assert one == {
            "filename": "0.png",
            "caption": "a photo of a red wall",
            "tags": ["red", "wall"],
            "flagged": None,
            "cache": False,
        }

    def test_pictures_are_answered_in_the_order_sent(self, http: httpx.Client) -> None:
        drawn = sure(12, seed=81)
        found = results(told(http, *map(png, drawn), model="scenes"))
        assert [one["caption"] for one in found] == [scene.caption for scene in drawn]
        assert [one["filename"] for one in found] == [f"{n}.png" for n in range(12)]
        assert all(set(one) == FIELDS for one in found)

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
    def test_formats_are_known_by_their_content(self, http: httpx.Client, kind: str) -> None:
        data = encoded(Image.new("RGB", (40, 30), "teal"), kind)
        sent = [("images", ("picture", data, "application/octet-stream"))]
        (one,) = results(http.post(EACH, files=sent))
        assert one["caption"] == "a grey wall"

    @pytest.mark.parametrize(
        ("said", "flagged"),
        [(YES, True), ('{"flagged": false}', False), ('{"flagged": "true"}', True), (NO, False),
         ("I would say so.", None)],
    )  # fmt: skip
    def test_a_chat_model_is_asked_for_the_flag(self, http: httpx.Client, said, flagged) -> None:
        answer = told(
            http, plain("red"), model="intern_vlm", caption_prompt="A wall.",
            flag_caption_prompt=f"Is it red? | {said}",
        )  # fmt: skip
        (one,) = results(answer)
        assert (one["caption"], one["flagged"]) == ("A wall.", flagged)

    def test_without_a_question_the_flag_is_whether_it_is_unsafe(self, http: httpx.Client) -> None:
        results(told(http, plain("red"), model="intern_vlm", caption_prompt="A red wall."))
        (newest,) = http.get("/captionImage", params={"limit": 1}).json()
        options = http.get(newest["urls"]["self"]).json()["options"]
        assert "not safe for children" in options["flag"]

    def test_the_model_is_the_servers_unless_one_is_named(self, http: httpx.Client) -> None:
        results(told(http, plain("red"), model="", caption_prompt="", flag_caption_prompt=""))
        (newest,) = http.get("/captionImage", params={"limit": 1}).json()
        assert newest["model"] == "blip"

    def test_a_model_that_is_not_served_is_refused(self, http: httpx.Client) -> None:
        answer = told(http, plain("red"), model="blip2")
        assert problem(answer, 422, "model_unknown")["served"] == list(MODELS)

    @pytest.mark.parametrize("route", [EACH, TOGETHER])
    def test_what_is_no_such_request_is_refused(self, http: httpx.Client, route: str) -> None:
        chat = {"model": "intern_vlm"}
        named = {**chat, "modle": "blip"}
        problem(http.post(route, files=files(plain()), params=named), 422, "invalid_request")
        problem(http.post(route, json={"imgb64s": []}, params=chat), 415, "unsupported_media_type")
        problem(http.post(route, files=files(plain(), field="picture"), params=chat),
                422, "invalid_request")  # fmt: skip
        form = {"model": "blip"}
        problem(http.post(route, files=files(plain()), data=form, params=chat),
                422, "invalid_request")  # fmt: skip
        empty = {"Content-Type": "multipart/form-data; boundary=b"}
        problem(http.post(route, content=b"--b--\r\n", headers=empty, params=chat),
                422, "no_images")  # fmt: skip
        long = {**chat, "caption_prompt": "x" * 101}
        problem(http.post(route, files=files(plain()), params=long), 422, "invalid_prompt")
        problem(told(http, *[plain()] * 41, route=route, **chat), 413, "too_many_images")
        problem(http.get(route), 405, "method_not_allowed")

    def test_a_request_may_be_sent_twice(self, http: httpx.Client) -> None:
        headers = {"Idempotency-Key": "vlm-1", "Cache-Control": "no-cache"}
        query = {"caption_prompt": "a wall, once"}
        first, second = (
            http.post(EACH, files=files(plain("olive")), params=query, headers=headers)
            for _ in range(2)
        )
        assert results(first) == results(second)
        assert second.headers["Idempotency-Replayed"] == "true"

    def test_a_job_that_takes_longer_is_named_and_goes_on(self, http: httpx.Client) -> None:
        answer = told(http, plain("red"), caption_prompt="zzz a slow wall", timeout="0.2")
        assert answer.status_code == 202, answer.text
        check("Accepted", answer)
        url = answer.headers["Location"]
        assert answer.json()["urls"]["self"] == url
        processes.until(lambda: http.get(url).json()["status"] == "succeeded", what="end")
        assert http.get(url).json()["images"][0]["tags"]


class TestAllTogether:
    """POST /api/caption-collective-images"""

    def test_the_answer_has_the_fields_of_the_document(self, http: httpx.Client) -> None:
        answer = told(
            http, *map(plain, ("red", "green", "blue")), route=TOGETHER, model="intern_vlm",
            caption_prompt="{n} plain walls.", flag_caption_prompt=f"Is one red? | {YES}",
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        check("VlmCollective", answer)
        assert answer.json() == {
            "collective_caption": "3 plain walls.",
            "count": 3,
            "tags": ["plain", "walls"],
            "flagged": True,
        }

    @pytest.mark.parametrize("query", [{}, {"model": "blip"}, {"model": "scenes"}], ids=str)
    def test_a_model_that_cannot_is_refused_and_told_which_can(self, http, query) -> None:
        answer = told(http, plain("red"), plain("blue"), route=TOGETHER, **query)
        body = problem(answer, 400, "collective_unsupported")
        assert body["models"] == ["intern_vlm"]
        assert "take intern_vlm" in body["detail"]

    def test_one_bad_picture_would_make_the_caption_wrong(self, http: httpx.Client) -> None:
        answer = told(http, plain("red"), b"no picture", route=TOGETHER, model="intern_vlm")
        body = problem(answer, 415, "unsupported_image_format")
        assert [each["index"] for each in body["errors"]] == [1]

    def test_more_than_sixteen_are_refused(self, http: httpx.Client) -> None:
        answer = told(http, *[plain()] * 17, route=TOGETHER, model="intern_vlm")
        assert problem(answer, 422, "invalid_option")["option"] == "collective"

    def test_an_engine_that_raises_is_an_error(self, http: httpx.Client) -> None:
        answer = told(
            http, plain("red"), plain("tan"), route=TOGETHER, model="intern_vlm", caption_prompt="!"
        )
        body = problem(answer, 500, "caption_failed")
        assert answer.headers["Location"] == f"/captionImage/{body['id']}"


class TestTheRest:
    """Models, health, documentation and the page."""

    def test_the_models_that_are_served_are_told_with_what_they_can(self, http) -> None:
        answer = http.get("/api/models")
        check("Offer", answer)
        models = {model["name"]: model for model in answer.json()["models"]}
        assert list(models) == list(MODELS)
        assert [model["default"] for model in models.values()] == [True, False, False]
        assert [model["collective"] for model in models.values()] == [0, 16, 0]
        assert [model["chats"] for model in models.values()] == [False, True, False]
        assert answer.json()["limits"]["max_images"] == 40
        assert answer.json()["limits"]["image_formats"] == ["JPEG", "PNG", "WEBP", "GIF", "BMP"]

    def test_what_the_document_names_besides_is_there(self, http: httpx.Client) -> None:
        assert http.get("/healthz").json() == {"status": "ok"}
        assert http.get("/docs", follow_redirects=True).status_code == 200
        assert http.get("/metrics").status_code == 200
        page = http.get("/")
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "<form" in page.text

    def test_what_this_process_says_it_answers_is_in_its_own_description(self, http) -> None:
        described = http.get("/openapi.json").json()["paths"]
        for route, statuses in ((EACH, "200"), (TOGETHER, "400")):
            operation = described[route]["post"]
            assert statuses in operation["responses"]
            asked = {each["name"] for each in operation["parameters"] if each["in"] == "query"}
            usual = {"model", "caption_prompt", "flag_caption_prompt", "timeout"}
            assert asked == usual | set(StyleFields.model_fields)
