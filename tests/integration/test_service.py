"""The HTTP surface, on real processes and servers."""

import json
import re
from uuid import uuid4

import pytest

from tests.integration.calls import files, finished, problem
from tests.pictures import b64, plain, png, sure


def test_a_json_job_is_answered_at_once_and_captioned(http) -> None:
    scene = sure(1)[0]
    response = http.post("/captionImage", json={"imgb64s": [b64(png(scene))]})
    assert response.status_code == 202
    body = response.json()
    assert body["msg"] == "Job Started!"
    assert body["status"] == "queued"
    assert response.headers["Location"] == body["urls"]["self"]
    job = finished(http, body["urls"]["self"])
    assert job["status"] == "succeeded"
    assert job["model"] == "scenes"
    assert job["result"] == [scene.caption]
    assert job["counts"] == {
        "total": 1,
        "succeeded": 1,
        "failed": 0,
        "canceled": 0,
        "unfinished": 0,
    }
    image = job["images"][0]
    assert image["status"] == "succeeded"
    assert image["caption"] == scene.caption
    assert image["model_revision"].startswith("sha256:")
    assert all(image["timings"][step] is not None for step in ("decode_ms", "wait_ms", "infer_ms"))
    assert job["created_at"] <= job["started_at"] <= job["finished_at"]


def test_a_data_uri_is_a_picture_too(http) -> None:
    scene = sure(1)[0]
    uri = f"data:image/png;base64,{b64(png(scene))}"
    body = http.post("/captionImageBlocking", json={"imgb64s": [uri]}).json()
    assert body["result"] == [scene.caption]


@pytest.mark.parametrize("field", ["images", "file"])
def test_a_form_keeps_file_names_and_order(http, field) -> None:
    drawn = sure(3, seed=1)
    posted = http.post("/captionImage", files=files(*map(png, drawn), field=field))
    job = finished(http, posted.json()["urls"]["self"])
    assert job["result"] == [scene.caption for scene in drawn]
    assert [image["file_name"] for image in job["images"]] == ["0.png", "1.png", "2.png"]


def test_a_blocking_call_answers_with_captions_in_order(http) -> None:
    drawn = sure(20, seed=2)
    response = http.post("/captionImageBlocking", files=files(*map(png, drawn)))
    assert response.status_code == 200
    body = response.json()
    assert body["msg"] == "Job finished!"
    assert body["result"] == [scene.caption for scene in drawn]
    assert body["errors"] == []


def test_one_bad_picture_of_ten_fails_alone(http) -> None:
    drawn = sure(9, seed=3)
    pictures = [*map(png, drawn)]
    pictures.insert(4, b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    body = http.post("/captionImageBlocking", files=files(*pictures)).json()
    assert body["status"] == "partial"
    assert [body["result"].pop(4), body["result"]] == [None, [s.caption for s in drawn]]
    (error,) = body["errors"]
    assert (error["index"], error["code"]) == (4, "unsupported_image_format")


def test_a_picture_that_breaks_only_when_decoded_fails_alone(http) -> None:
    scene = sure(1)[0]
    cut = png(scene, 640, 480)
    cut = cut[: len(cut) // 2]
    body = http.post("/captionImageBlocking", files=files(png(scene), cut)).json()
    assert body["result"] == [scene.caption, None]
    assert [(e["index"], e["code"]) for e in body["errors"]] == [(1, "image_truncated")]


def test_a_job_without_any_caption_is_no_success(http) -> None:
    cut = png(sure(1)[0], 640, 480)
    response = http.post("/captionImageBlocking", files=files(cut[: len(cut) // 2]))
    body = problem(response, 422, "image_truncated")
    assert body["errors"][0]["index"] == 0
    assert http.get(response.headers["Location"]).json()["status"] == "failed"


def test_a_prompt_begins_the_caption(http) -> None:
    first_words = " ".join(sure(1)[0].caption.split()[:2])
    body = http.post(
        "/captionImageBlocking",
        json={"imgb64s": [b64(png(sure(1)[0]))], "prompt": first_words},
    ).json()
    assert body["result"][0].startswith(first_words)


def test_the_listing_pages_through_every_job_newest_first(http) -> None:
    made = [http.post("/captionImage", files=files(plain())).json()["id"] for _ in range(5)]
    seen: list[str] = []
    url = "/captionImage?limit=2"
    while url and len(seen) < 5:
        page = http.get(url)
        seen += [job["id"] for job in page.json()]
        link = re.match(r'<(.+)>; rel="next"', page.headers.get("Link", ""))
        url = link[1] if link else ""
    assert seen[:5] == made[::-1]


def test_the_listing_filters_by_id_and_status(http) -> None:
    ids = [http.post("/captionImageBlocking", files=files(plain())).json()["id"] for _ in range(2)]
    listed = http.get("/captionImage", params={"id": [*ids, str(uuid4())]}).json()
    assert [job["id"] for job in listed] == ids[::-1]
    assert all(len(job["result"]) == 1 for job in listed)
    for job in http.get("/captionImage", params={"status": "succeeded"}).json():
        assert job["status"] == "succeeded"
    assert http.get("/captionImage", params={"id": ids[0], "status": "failed"}).json() == []


def test_a_wait_that_ends_too_early_leaves_the_job_going(http) -> None:
    drawn = sure(4, seed=4)
    response = http.post("/captionImageBlocking?timeout=0", files=files(*map(png, drawn)))
    assert response.status_code == 202
    job = finished(http, response.headers["Location"])
    assert job["result"] == [scene.caption for scene in drawn]


def test_prefer_wait_bounds_the_wait(http) -> None:
    response = http.post(
        "/captionImageBlocking", files=files(plain()), headers={"Prefer": "wait=0"}
    )
    assert response.status_code == 202


def test_health_readiness_and_unknown_routes(http) -> None:
    assert http.get("/healthz").json() == {"status": "ok"}
    assert http.get("/readyz").json() == {"ready": True, "reasons": {}}
    problem(http.get("/nothing"), 404, "not_found")
    problem(http.delete("/captionImage"), 405, "method_not_allowed")


def test_the_docs_page_needs_no_network(http) -> None:
    page = http.get("/docs/")
    assert page.status_code == 200
    assert http.get("/docs", follow_redirects=True).status_code == 200
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page.text)


def test_the_openapi_document_is_valid_and_names_every_route(http) -> None:
    from openapi_spec_validator import OpenAPIV31SpecValidator

    document = http.get("/openapi.json").json()
    OpenAPIV31SpecValidator(document).validate()
    assert set(document["paths"]) == {
        "/api/admin/reset-cache",
        "/api/images",
        "/api/images/{id}",
        "/api/images/{id}/thumbnails/{size}",
        "/api/images/{id}/thumbnails/{size}.jpg",
        "/api/stats",
        "/",
        "/api/caption-collective-images",
        "/api/caption-images",
        "/api/models",
        "/api/styles",
        "/captionImage",
        "/captionImage/{id}",
        "/captionImage/{id}/cancel",
        "/captionImage/{id}/events",
        "/captionImage/{id}/retry",
        "/captionImage/{id}/webhooks",
        "/captionImage/{id}/webhooks/{delivery}/replay",
        "/captionImageBlocking",
        "/upload_image/",
        "/healthz",
        "/metrics",
        "/readyz",
        "/web/{file}",
        "/workers",
    }


def test_answers_have_the_shapes_that_the_document_promises(http) -> None:
    from jsonschema import Draft202012Validator

    document = http.get("/openapi.json").json()
    blocking = http.post("/captionImageBlocking", files=files(plain()))
    job = blocking.json()["urls"]["self"]
    answers = {
        "Finished": blocking.json(),
        "Accepted": http.post("/captionImage", files=files(plain())).json(),
        "JobView": http.get(job).json(),
        "JobSummary": http.get("/captionImage?limit=1").json()[0],
        "Problem": http.get("/nothing").json(),
    }
    for name, answer in answers.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        Draft202012Validator(json.loads(json.dumps(schema))).validate(answer)
