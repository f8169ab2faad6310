"""The queue, held to what the document of the BLIP container says: each route and field."""

import re
from collections.abc import Iterator
from uuid import UUID

import pytest

from tests import processes
from tests.integration.calls import files, finished, problem
from tests.picture_server import Page, PictureServer, allowing, serving
from tests.pictures import b64, png, sure
from tests.stacks import Stack


@pytest.fixture(scope="module")
def host() -> Iterator[PictureServer]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def service(
    stack: Stack, host: PictureServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("service")
    with processes.service({**stack.environment, **allowing(host)}, folder) as base:
        yield base


# POST /captionImage: posts a job to the queue


def test_a_job_is_posted_and_its_result_comes_to_the_list(http) -> None:
    scene = sure(1)[0]
    response = http.post("/captionImage", json={"imgb64s": [b64(png(scene))]})

    body = response.json()
    assert response.status_code == 202
    assert body["msg"] == "Job Started!"
    assert isinstance(body["id"], str)
    finished(http, body["urls"]["self"])
    newest = http.get("/captionImage").json()[0]
    assert (newest["id"], newest["result"]) == (body["id"], [scene.caption])


# POST /captionImageBlocking: waits, and returns the result in the response


def test_a_blocking_post_returns_each_caption_in_order(http) -> None:
    drawn = sure(10, seed=1)
    body = {"imgb64s": [b64(png(scene)) for scene in drawn]}

    response = http.post("/captionImageBlocking", json=body)

    answer = response.json()
    assert response.status_code == 200
    assert answer["msg"] == "Job finished!"
    assert answer["result"] == [scene.caption for scene in drawn]
    assert http.get(f"/captionImage/{answer['id']}").json()["result"] == answer["result"]


# GET /captionImage: gets job results


def test_the_list_is_an_array_of_ids_and_results(http) -> None:
    jobs = http.get("/captionImage").json()

    assert isinstance(jobs, list)
    assert jobs
    assert all({"id", "result"} <= set(job) for job in jobs)
    assert all(isinstance(job["result"], list) for job in jobs)


# The bodies that its clients send


@pytest.mark.parametrize(
    ("name", "given"),
    [("imgb64s", list), ("imgb64", list), ("imgb64", lambda texts: texts[0])],
    ids=["imgb64s", "imgb64 as a list", "imgb64 alone"],
)
@pytest.mark.parametrize("route", ["/captionImage", "/captionImageBlocking"])
def test_pictures_in_the_body(http, route, name, given) -> None:
    scene = sure(1, seed=2)[0]
    response = http.post(route, json={name: given([b64(png(scene))])})

    job = finished(http, f"/captionImage/{response.json()['id']}")
    assert job["result"] == [scene.caption]


@pytest.mark.parametrize(
    ("name", "given"),
    [("imgurls", list), ("imgurl", list), ("imgurl", lambda urls: urls[0])],
    ids=["imgurls", "imgurl as a list", "imgurl alone"],
)
@pytest.mark.parametrize("route", ["/captionImage", "/captionImageBlocking"])
def test_pictures_by_url(http, host, route, name, given) -> None:
    scene = sure(1, seed=3)[0]
    host.pages["/cat.png"] = Page(png(scene))
    response = http.post(route, json={name: given([host.url("/cat.png")])})

    job = finished(http, f"/captionImage/{response.json()['id']}")
    assert job["result"] == [scene.caption]


def test_pictures_in_the_body_come_before_those_by_url(http, host) -> None:
    first, second = sure(2, seed=4)
    host.pages["/second.png"] = Page(png(second))
    body = {"imgurl": host.url("/second.png"), "imgb64": b64(png(first))}

    answer = http.post("/captionImageBlocking", json=body).json()

    assert answer["result"] == [first.caption, second.caption]


@pytest.mark.parametrize("name", ["imgb64", "imgurl"])
def test_one_thing_under_two_names_is_refused(http, name) -> None:
    response = http.post("/captionImage", json={name: "x", f"{name}s": ["x"]})

    assert f"{name}s" in problem(response, 422, "invalid_request")["detail"]


@pytest.mark.parametrize("name", ["imgb64s", "imgb64", "imgurls", "imgurl"])
@pytest.mark.parametrize("given", [[], 7, [7], None, {}], ids=str)
def test_what_holds_no_pictures_is_named(http, name, given) -> None:
    response = http.post("/captionImage", json={name: given})

    assert name in problem(response, 422, "invalid_request")["detail"]
    problem(http.post("/captionImage", json={}), 422, "no_images")


# The known faults of that project


def test_results_are_had_by_id_and_page_by_page_not_all_in_one_list(http) -> None:
    made = [http.post("/captionImageBlocking", files=files(png(s))).json() for s in sure(3, seed=6)]
    ids = [job["id"] for job in made]

    assert http.get(f"/captionImage/{ids[1]}").json()["result"] == made[1]["result"]
    by_id = http.get("/captionImage", params={"id": ids[0]}).json()
    assert [(job["id"], job["result"]) for job in by_id] == [(ids[0], made[0]["result"])]
    page = http.get("/captionImage", params={"limit": 2})
    assert [job["id"] for job in page.json()] == [ids[2], ids[1]]
    following = re.match(r'<(.+)>; rel="next"', page.headers["Link"])
    assert following
    assert ids[0] in [job["id"] for job in http.get(following[1]).json()]
    problem(http.get("/captionImage", params={"limit": 101}), 422, "invalid_request")


UNKNOWN = UUID("4fbc6831-9cd6-491d-af74-51139f58b6c7")
"""The id of the source project's example."""


@pytest.mark.parametrize("name", [str(UNKNOWN), UNKNOWN.hex, "nonsense"])
def test_an_unknown_id_is_not_found_and_never_pending(http, name) -> None:
    problem(http.get(f"/captionImage/{name}"), 404, "job_not_found")


def test_an_id_without_dashes_is_the_same_job(http) -> None:
    job = http.post("/captionImage", files=files(png(sure(1)[0]))).json()

    bare = job["id"].replace("-", "")
    assert http.get(f"/captionImage/{bare}").json()["id"] == job["id"]
    assert [each["id"] for each in http.get(f"/captionImage?id={bare}").json()] == [job["id"]]
    assert http.delete(f"/captionImage/{bare}").status_code == 200
    problem(http.get(f"/captionImage/{job['id']}"), 410, "job_deleted")


def test_a_bad_image_is_an_error_and_the_worker_lives_on(http) -> None:
    scene = sure(1)[0]
    cut = png(scene, 640, 480)
    bad = http.post("/captionImageBlocking", json={"imgb64": b64(cut[: len(cut) // 2])})
    both = http.post(
        "/captionImageBlocking", json={"imgb64s": [b64(cut[: len(cut) // 2]), b64(png(scene))]}
    )

    assert problem(bad, 422, "image_truncated")["errors"][0]["index"] == 0
    assert both.status_code == 200
    assert both.json()["result"] == [None, scene.caption]
    assert both.json()["status"] == "partial"
    problem(http.post("/captionImage", json={"imgb64": "!"}), 400, "invalid_base64")
    assert len(http.get("/workers").json()) >= 1
