"""The image pipeline, held to what the document of HTX-API says of each route, field and status."""

import re
from uuid import uuid4

import httpx
import pytest
from PIL import Image

from tests.contract.uploading import UNKNOWN, photograph, processed, upload
from tests.integration.calls import files, problem
from tests.pictures import encoded, plain, png, sure


@pytest.fixture(scope="module")
def done(service: str) -> dict:
    """A photograph that went through."""
    with httpx.Client(base_url=service, timeout=120) as http:
        return processed(http, upload(http, photograph(), "holiday.jpg"))


# 1. Upload an image: JPG and PNG; image id and processing status


def test_an_upload_is_answered_at_once_with_id_and_status(http) -> None:
    response = upload(http, plain("maroon"))

    assert response.status_code == 202
    assert set(response.json()) == {"image_id", "status"}
    assert response.json()["status"] == "queued"
    assert response.headers["Location"] == f"/api/images/{response.json()['image_id']}"


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_jpg_and_png_are_taken_whatever_they_are_called(http, kind) -> None:
    data = encoded(Image.new("RGB", (40, 40), "teal"), kind)

    assert processed(http, upload(http, data, "x.exe"))["metadata"]["format"] == kind


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "BMP"])
def test_other_pictures_are_415(http, kind) -> None:
    data = encoded(Image.new("RGB", (40, 40), "teal"), kind)

    problem(upload(http, data, "really.png"), 415, "unsupported_image_format")
    assert http.post("/captionImage", files=files(data)).status_code == 202, "as elsewhere"


def test_what_is_no_picture_is_415(http) -> None:
    problem(upload(http, b"%PDF-1.7 not a picture"), 415, "unsupported_image_format")


def test_what_is_no_form_is_415(http) -> None:
    response = http.post("/api/images", json={"imgb64s": ["x"]})

    problem(response, 415, "unsupported_media_type")


def test_a_form_must_hold_one_picture_in_file(http) -> None:
    data = plain()
    form = {"boundary": "multipart/form-data; boundary=x"}
    empty = http.post(
        "/api/images", content=b"--x--\r\n", headers={"Content-Type": form["boundary"]}
    )

    problem(empty, 422, "no_images")
    body = problem(http.post("/api/images", files=files(data)), 422, "invalid_request")
    assert "'images'" in body["detail"]
    two = http.post("/api/images", files=files(data, data, field="file"))
    assert "one" in problem(two, 422, "invalid_request")["detail"]
    asked = upload(http, data, collective="true")
    assert problem(asked, 422, "invalid_option")["option"] == "collective"
    assert upload(http, b"").status_code == 422


def test_options_of_a_submission_are_taken(http) -> None:
    scene = sure(1)[0]
    first_words = " ".join(scene.caption.split()[:2])

    image = processed(http, upload(http, png(scene), model="scenes", prompt=first_words))

    assert image["caption"].startswith(first_words)
    problem(upload(http, png(scene), model="nobody"), 422, "model_unknown")


def test_an_upload_may_be_sent_twice(http) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    first, second = (
        http.post("/api/images", files={"file": ("a.png", plain("lime"))}, headers=key)
        for _ in range(2)
    )

    assert second.json()["image_id"] == first.json()["image_id"]
    assert second.headers["Idempotency-Replayed"] == "true"
    other = http.post("/captionImage", files={"file": ("a.png", plain("lime"))}, headers=key)
    problem(other, 422, "idempotency_key_reuse")


# 2. List all processing and processed images: filename, image id, status


def test_the_list_has_each_image_with_name_id_and_status(http) -> None:
    images = [processed(http, upload(http, plain(), f"{n}.png")) for n in range(3)]

    listed = http.get("/api/images", params={"limit": 3}).json()

    assert [set(each) for each in listed] == [{"filename", "image_id", "status", "created"}] * 3
    assert [each["image_id"] for each in listed] == [image["image_id"] for image in images[::-1]]
    assert [each["filename"] for each in listed] == ["2.png", "1.png", "0.png"]
    assert {each["status"] for each in listed} == {"succeeded"}


def test_the_list_leads_from_page_to_page(http) -> None:
    made = [upload(http, plain()).json()["image_id"] for _ in range(5)]
    seen: list[str] = []
    url = "/api/images?limit=2"
    while url and len(seen) < 5:
        page = http.get(url)
        seen += [each["image_id"] for each in page.json()]
        link = re.match(r'<(.+)>; rel="next"', page.headers.get("Link", ""))
        url = link[1] if link else ""

    assert seen[:5] == made[::-1]
    assert http.get("/api/images", params={"cursor": UNKNOWN.replace("0199", "0000")}).json() == []
    problem(http.get("/api/images", params={"cursor": "x"}), 422, "invalid_request")
    problem(http.get("/api/images", params={"limit": "0"}), 422, "invalid_request")


def test_jobs_of_other_routes_are_no_images(http) -> None:
    job = http.post("/captionImage", files=files(plain())).json()["id"]

    assert job not in str(http.get("/api/images").json())
    problem(http.get(f"/api/images/{job}"), 404, "image_not_found")


# 3. Metadata: filename, id, caption, processing time, status, thumbnail links and more


def test_an_image_has_its_caption_and_all_that_is_known(http, done) -> None:
    assert set(done) == {
        "image_id", "filename", "status", "created", "model", "caption", "error", "metadata",
        "timings", "thumbnails",
    }  # fmt: skip
    assert done["filename"] == "holiday.jpg"
    assert (done["status"], done["error"], done["model"]) == ("succeeded", None, "scenes")
    assert done["caption"]
    assert done["metadata"] == {
        "format": "JPEG",
        "mode": "RGB",
        "bytes": len(photograph()),
        "width": 300,
        "height": 150,
        "exif": {"camera": "Acme Camera 3000", "taken_at": "2024-05-06T07:08:09", "orientation": 6},
        "gps": None,
    }
    assert set(done["timings"]) == {
        "queued_ms", "processing_ms", "decode_ms", "wait_ms", "infer_ms",
    }  # fmt: skip
    assert done["timings"]["queued_ms"] >= 0
    assert done["timings"]["processing_ms"] >= done["timings"]["decode_ms"] > 0


def test_the_caption_is_of_this_picture(http) -> None:
    scene = sure(1, seed=5)[0]

    assert processed(http, upload(http, png(scene)))["caption"] == scene.caption


def test_where_it_was_taken_is_told_to_whoever_asks_for_it_alone(http, done) -> None:
    url = f"/api/images/{done['image_id']}"

    assert "48.85" not in http.get(url).text
    assert http.get(url, params={"gps": "false"}).json()["metadata"]["gps"] is None
    assert http.get(url, params={"gps": "true"}).json()["metadata"]["gps"] == {
        "latitude": 48.858333,
        "longitude": -2.295,
    }
    problem(http.get(url, params={"gps": "yes"}), 422, "invalid_request")


def test_a_png_and_damaged_exif_are_read_too(http) -> None:
    image = processed(http, upload(http, photograph(kind="PNG")))
    broken = photograph().replace(b"Exif\0\0", b"Exif\0\0\xff\xff\xff", 1)
    plain_one = processed(http, upload(http, plain()))

    assert image["metadata"]["exif"]["camera"] == "Acme Camera 3000"
    nothing = {"camera": None, "taken_at": None, "orientation": None}
    assert processed(http, upload(http, broken))["metadata"]["exif"] == nothing
    assert plain_one["metadata"]["exif"] == nothing


@pytest.mark.parametrize("name", [UNKNOWN, "nonsense", "1"])
@pytest.mark.parametrize("rest", ["", "/thumbnails/small", "/thumbnails/medium.jpg"])
def test_an_unknown_image_is_404_and_never_pending(http, name, rest) -> None:
    problem(http.get(f"/api/images/{name}{rest}"), 404, "image_not_found")


def test_an_image_that_was_deleted_is_410_and_says_when(http) -> None:
    image = processed(http, upload(http, plain("thistle")))
    assert http.delete(f"/captionImage/{image['image_id']}").status_code == 200

    told = problem(http.get(f"/api/images/{image['image_id']}"), 410, "job_deleted")
    assert (told["reason"], told["deleted_at"] > image["created"]) == ("asked", True)
    assert image["image_id"] not in str(http.get("/api/images").json())


def test_an_id_without_dashes_is_the_same_image(http, done) -> None:
    bare = done["image_id"].replace("-", "")

    assert (
        http.get(f"/api/images/{bare}").json() == http.get(f"/api/images/{done['image_id']}").json()
    )
    assert http.get(f"/api/images/{bare}/thumbnails/small").status_code == 200


# 5. Statistics: number of images, success and failure rates, average processing


def test_the_statistics_count_and_time_what_was_done(http, done) -> None:
    before = http.get("/api/stats").json()
    processed(http, upload(http, plain("gold")))
    cut = png(sure(1)[0], 640, 480)
    processed(http, upload(http, cut[: len(cut) // 2]))

    after = http.get("/api/stats").json()

    assert set(after) == {"images", "success_rate", "failure_rate", "processing"}
    assert set(after["images"]) == {
        "total", "queued", "running", "styling", "succeeded", "failed", "canceled",
    }  # fmt: skip
    for name, more in (("total", 2), ("succeeded", 1), ("failed", 1)):
        assert after["images"][name] == before["images"][name] + more
    assert after["images"]["queued"] == after["images"]["running"] == 0
    succeeded, failed = after["images"]["succeeded"], after["images"]["failed"]
    assert after["success_rate"] == pytest.approx(succeeded / (succeeded + failed), abs=1e-5)
    assert after["success_rate"] + after["failure_rate"] == pytest.approx(1)
    times = after["processing"]
    assert times["images"] == before["processing"]["images"] + 1
    assert 0 < times["p50_ms"] <= times["p90_ms"] <= times["p99_ms"]
    assert 0 < times["average_ms"] <= 1.1 * times["p99_ms"]
    problem(http.get("/api/stats", params={"since": "1"}), 422, "invalid_request")


# The known faults of that project


def test_a_bad_image_is_told_as_failed_and_the_worker_lives_on(http) -> None:
    cut = png(sure(1)[0], 640, 480)
    bad = processed(http, upload(http, cut[: len(cut) // 2], "cut.png"))

    assert (bad["status"], bad["caption"], bad["thumbnails"]) == ("failed", None, None)
    assert bad["error"]["code"] == "image_truncated"
    for size in ("small", "medium.jpg"):
        url = f"/api/images/{bad['image_id']}/thumbnails/{size}"
        problem(http.get(url), 404, "thumbnail_not_found")
    assert processed(http, upload(http, plain()))["status"] == "succeeded"


def test_markup_in_a_file_name_stays_text(http) -> None:
    name = "<img src=x onerror=alert(1)>.png"
    image = processed(http, upload(http, plain(), name))
    response = http.get(f"/api/images/{image['image_id']}")

    assert image["filename"] == name
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
