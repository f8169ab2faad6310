"""Pictures by URL through the whole service: captions, refusals, hosts that fail, and secrets."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import processes
from tests.integration.calls import finished, problem
from tests.picture_server import PictureServer, allowing, serving
from tests.pictures import b64, plain, png, sure
from tests.processes import until
from tests.stacks import Stack

SECRET = "sig-7f3a9c51e0"


@pytest.fixture(scope="module")
def host(stack: Stack) -> Iterator[PictureServer]:
    """One for each stack, as its calls are counted."""
    del stack
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def service(stack: Stack, host: PictureServer, logs: Path) -> Iterator[str]:
    with processes.service({**stack.environment, **allowing(host)}, logs) as base:
        yield base


@contextmanager
def canary(host: str, port: int) -> Iterator[list[object]]:
    """A listener that nobody may reach, and the callers that did."""
    callers: list[object] = []
    with socket.create_server((host, port)) as listening:

        def accept() -> None:
            while True:
                try:
                    callers.append(listening.accept())
                except OSError:
                    return

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield callers
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_pictures_by_url_get_their_captions_in_place_after_those_in_the_body(http, host) -> None:
    drawn = sure(60, seed=21)
    urls = [host.add(f"/scene-{n}.png", png(scene)) for n, scene in enumerate(drawn[10:])]
    pictures = [b64(png(scene)) for scene in drawn]
    sent = http.post("/captionImage", json={"imgb64s": pictures})
    expected = finished(http, sent.headers["Location"])["result"]
    response = http.post("/captionImage", json={"imgurls": urls, "imgb64s": pictures[:10]})
    assert response.status_code == 202, response.text
    job = finished(http, response.headers["Location"])
    right = sum(a == scene.caption for a, scene in zip(job["result"], drawn, strict=True))
    print(f"\n{right} of {len(drawn)} captions right, 50 of them of pictures by URL")
    assert job["result"] == expected
    assert right > 50
    assert job["images"][10]["file_name"] == "scene-0.png"
    assert {host.calls[f"/scene-{n}.png"] for n in range(50)} == {1}


@pytest.mark.parametrize("many", [False, True], ids=["one", "list"])
def test_the_old_name_takes_a_url_or_a_list_of_them(http, host, many) -> None:
    (scene,) = sure(1, seed=22)
    url = host.add("/old.png", png(scene))
    response = http.post("/captionImageBlocking", json={"imgurl": [url, url] if many else url})
    assert response.status_code == 200, response.text
    assert response.json()["result"] == [scene.caption] * (2 if many else 1)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "no_images"),
        ({"imgurls": []}, 422, "invalid_request"),
        ({"imgurl": []}, 422, "invalid_request"),
        ({"imgurl": 3}, 422, "invalid_request"),
        ({"imgurls": "http://a.example/"}, 422, "invalid_request"),
        ({"imgurls": [3]}, 422, "invalid_request"),
        ({"imgurls": ["http://a.example/"], "imgurl": "http://a.example/"}, 422, "invalid_request"),
        ({"imgurls": ["http://127.0.0.1/"]}, 422, "url_not_allowed"),
        ({"imgurl": "file:///etc/passwd"}, 422, "url_not_allowed"),
        ({"imgurls": ["gopher://a.example/", "http://[::1]/"]}, 422, "url_not_allowed"),
        ({"imgurls": ["http://a.example:22/"], "imgb64s": ["%%"]}, 422, "all_images_refused"),
        ({"imgurls": ["http://a.example/"] * 1001}, 413, "too_many_images"),
    ],
)
@pytest.mark.parametrize("route", ["/captionImage", "/captionImageBlocking"])
def test_a_body_without_a_url_that_may_be_called_is_refused(
    http, route, body, status, code
) -> None:
    problem(http.post(route, json=body), status, code)


def test_each_bad_url_fails_alone_and_nothing_inside_is_reached(http, host) -> None:
    (scene,) = sure(1, seed=23)
    add, inside = host.add, f"http://127.0.0.2:{host.port}/"
    with canary("127.0.0.2", host.port) as callers:
        urls = [
            add("/good.png", png(scene)),
            inside,
            add("/inside", status=302, headers={"Location": inside}),
            add("/name", status=307, headers={"Location": f"http://localhost:{host.port}/"}),
            add("/mapped", status=302, headers={"Location": "http://[::ffff:127.0.0.2]/"}),
            host.url("/none.png"),
            add("/page.html", b"<html></html>"),
            add("/large.png", bytes(15_000_001)),
            "ftp://a.example/x.png",
        ]
        response = http.post("/captionImage", json={"imgurls": urls})
        job = finished(http, response.headers["Location"])
    assert job["status"] == "partial"
    assert [image["error"] and image["error"]["code"] for image in job["images"]] == [
        None,
        "url_not_allowed",
        "url_not_allowed",
        "url_not_allowed",
        "url_not_allowed",
        "url_fetch_failed",
        "unsupported_image_format",
        "image_too_many_bytes",
        "url_not_allowed",
    ]
    assert job["result"] == [scene.caption, *[None] * 8]
    assert callers == []


def test_a_job_whose_urls_all_fail_says_so_to_the_caller_who_waits(http, host) -> None:
    body = {"imgurls": [host.url("/none-1.png"), host.url("/none-2.png")]}
    answer = problem(http.post("/captionImageBlocking", json=body), 422, "url_fetch_failed")
    assert [error["index"] for error in answer["errors"]] == [0, 1]


def test_slow_hosts_hold_up_no_other_picture(http, host) -> None:
    slow = [host.add(f"/slow-{n}.png", plain(), after_s=6) for n in range(48)]
    response = http.post("/captionImage", json={"imgurls": slow})
    until(lambda: sum(host.calls[f"/slow-{n}.png"] for n in range(48)) >= 8, what="slow calls")
    took = []
    for _ in range(10):
        begun = time.monotonic()
        answer = http.post("/captionImageBlocking", files=[("images", ("x.png", plain()))])
        assert answer.status_code == 200, answer.text
        took.append(time.monotonic() - begun)
    left = http.get(response.headers["Location"]).json()["counts"]["unfinished"]
    print(f"\n{left} slow pictures left, an upload took {sorted(took)[5] * 1000:.0f} ms")
    assert left >= 40
    assert sorted(took)[5] < 2


def test_no_query_of_a_url_is_shown_or_logged(http, host, logs) -> None:
    host.add("/signed.png", plain())
    host.add("/away.png", status=503)
    host.add("/to", status=302, headers={"Location": f"/signed.png?again={SECRET}"})
    query = f"sig={SECRET}"
    urls = [host.url(path, query) for path in ("/signed.png", "/none.png", "/away.png", "/to")]
    urls += [f"http://a.example:99/{query}?{query}", f"http://no-such-host.invalid/?{query}"]
    response = http.post("/captionImage", json={"imgurls": [*urls, "ftp://a/?" + query]})
    url = response.headers["Location"]
    until(lambda: host.calls["/away.png"] > 0, what="call")
    until(lambda: http.get(url).json()["counts"]["unfinished"] <= 2, what="most of the job")
    seen = response.text + http.get(url).text + http.get("/captionImage").text
    refused = http.post("/captionImage", json={"imgurl": f"http://127.0.0.1/x?{query}"})
    seen += refused.text + http.post("/captionImageBlocking", json={"imgurls": [f"?{query}"]}).text
    assert http.get(url).json()["images"][0]["file_name"] == "signed.png"
    assert "signed.png" in seen
    for log in ("api.log", "worker.log"):
        text = (logs / log).read_text()
        assert text
        seen += text
    assert seen.count(SECRET) == seen.count(f'"sig={SECRET}"')  # a path's last part is a name
    assert f"?{query}" not in seen
    assert f"again={SECRET}" not in seen


def test_a_host_that_was_down_is_asked_again(http, host) -> None:
    (scene,) = sure(1, seed=25)
    path = "/down.png"
    host.add(path, status=503)
    answer = http.post("/captionImage", json={"imgurls": [host.url(path)]})
    until(lambda: host.calls[path] == 1, what="call")
    host.add(path, png(scene))
    assert finished(http, answer.headers["Location"])["result"] == [scene.caption]
    assert host.calls[path] == 2
