"""What the HTTP surface refuses, and that it says why."""

import pytest
from PIL import Image

from tests.integration.calls import files, problem
from tests.pictures import encoded, plain

UNKNOWN = "0199aaaa-0000-7000-8000-000000000000"


def test_a_lone_unreadable_picture_names_its_own_error(http) -> None:
    body = problem(
        http.post("/captionImage", files=files(b"%PDF-1.7")), 415, "unsupported_image_format"
    )
    assert body["errors"][0]["index"] == 0


def test_pictures_that_are_all_bad_are_each_named(http) -> None:
    response = http.post("/captionImage", files=files(b"text", b""))
    body = problem(response, 422, "all_images_refused")
    assert [(e["index"], e["code"]) for e in body["errors"]] == [
        (0, "unsupported_image_format"),
        (1, "image_empty"),
    ]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b'{"imgb64s": NaN}', 400, "invalid_json"),
        (b'{"imgb64s": [], "imgb64s": []}', 400, "invalid_json"),
        (b"\xff\xfe{\x00}\x00", 400, "invalid_json"),
        (b"[" * 100_000, 400, "invalid_json"),
        (b'{"imgb64s": 3}', 422, "invalid_request"),
        (b'{"imgb64s": []}', 422, "invalid_request"),
        (b'{"imgb64s": ["AAAA"], "modle": "x"}', 422, "invalid_request"),
        (b'{"imgb64s": ["%%%%"]}', 400, "invalid_base64"),
        (b'{"imgb64s": ["AAA"]}', 400, "invalid_base64"),
        (b'{"imgb64s": ["AA\\nAA"]}', 400, "invalid_base64"),
        (b'{"imgb64s": ["data:text/html;base64,AAAA"]}', 400, "invalid_base64"),
        (b'{"imgb64s": [""]}', 422, "image_empty"),
        (b'{"imgb64s": ["AAAA"], "model": "nope"}', 422, "model_unknown"),
        (b'{"imgb64s": ["AAAA"], "prompt": "a\\u0000b"}', 422, "invalid_prompt"),
    ],
)
def test_a_bad_body_is_told_what_is_wrong(http, body, status, code) -> None:
    response = http.post(
        "/captionImage", content=body, headers={"Content-Type": "application/json"}
    )
    problem(response, status, code)


def test_a_body_that_is_neither_json_nor_a_form_is_refused(http) -> None:
    response = http.post("/captionImage", content=b"x", headers={"Content-Type": "text/plain"})
    problem(response, 415, "unsupported_media_type")


def test_a_form_with_an_unknown_field_names_it(http) -> None:
    body = problem(
        http.post("/captionImage", files=files(plain()), data={"modle": "x"}),
        422,
        "invalid_request",
    )
    assert "modle" in body["detail"]


def test_a_form_without_pictures_is_refused(http) -> None:
    boundary = "b" * 8
    response = http.post(
        "/captionImage",
        content=f"--{boundary}--\r\n",
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
    )
    problem(response, 422, "no_images")


@pytest.mark.parametrize("name", [UNKNOWN, UNKNOWN.replace("-", ""), "1", "x" * 300, "%00"])
def test_an_unknown_id_is_not_found(http, name) -> None:
    problem(http.get(f"/captionImage/{name}"), 404, "job_not_found")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "status=done", "id=x", "cursor=1", "colour=red"]
)
def test_a_bad_query_parameter_is_named(http, query) -> None:
    body = problem(http.get(f"/captionImage?{query}"), 422, "invalid_request")
    assert query.split("=")[0] in body["detail"]


def test_a_wait_above_the_longest_is_refused(http) -> None:
    response = http.post("/captionImageBlocking?timeout=301", files=files(plain()))
    problem(response, 422, "invalid_request")


def test_too_many_pixels_are_refused_from_the_header(http) -> None:
    bomb = encoded(Image.new("1", (16_000, 16_000)))
    problem(http.post("/captionImage", files=files(bomb)), 422, "image_too_large")


def test_too_many_pictures_are_refused(http) -> None:
    response = http.post("/captionImage", json={"imgb64s": ["AAAA"] * 1001})
    problem(response, 413, "too_many_images")


def test_a_file_that_came_as_text_is_told_as_that(http) -> None:
    form = {"images": (None, b"photo.jpg")}
    body = problem(http.post("/captionImage", files=form), 422, "invalid_request")
    assert "-F images=@photo.jpg" in body["detail"]
