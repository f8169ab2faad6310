"""Thumbnails, held to what the document of HTX-API says: links to a small and a medium one."""

from io import BytesIO

import httpx
import pytest
from PIL import Image

from tests.contract.uploading import photograph, processed, upload
from tests.integration.calls import problem
from tests.pictures import plain


@pytest.fixture(scope="module")
def done(service: str) -> dict:
    """A photograph that went through."""
    with httpx.Client(base_url=service, timeout=120) as http:
        return processed(http, upload(http, photograph(), "holiday.jpg"))


def test_thumbnails_are_linked_by_the_image_and_by_each_size(http, done) -> None:
    image_id = done["image_id"]
    links = {size: f"/api/images/{image_id}/thumbnails/{size}.jpg" for size in ("small", "medium")}

    assert done["thumbnails"] == links
    for size in links:
        response = http.get(f"/api/images/{image_id}/thumbnails/{size}")
        assert response.status_code == 200
        assert response.headers["Vary"] == "Accept"
        assert response.json() == {
            "image_id": image_id,
            "size": size,
            "link": links[size],
            "thumbnails": links,
        }


@pytest.mark.parametrize(("size", "side"), [("small", 64), ("medium", 128)])
def test_a_thumbnail_is_a_small_upright_picture_without_metadata(http, done, size, side) -> None:
    response = http.get(done["thumbnails"][size])

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "image/jpeg"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    with Image.open(BytesIO(response.content)) as thumbnail:
        assert thumbnail.format == "JPEG"
        assert thumbnail.size == (side // 2, side), "300 x 150, turned"
        assert not thumbnail.getexif()
        top, bottom = (thumbnail.getpixel((side // 4, y)) for y in (3, side - 4))
        assert top[0] > 200 > bottom[0], "its left half was orange, and is its upper one now"
    for secret in (b"Acme", b"Exif", b"2024:05"):
        assert secret not in response.content


def test_a_small_picture_is_not_made_larger(http) -> None:
    image = processed(http, upload(http, plain(width=40, height=30)))

    with Image.open(BytesIO(http.get(image["thumbnails"]["medium"]).content)) as thumbnail:
        assert thumbnail.size == (40, 30)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("image/*", "image/jpeg"),
        ("image/jpeg", "image/jpeg"),
        ("image/avif,image/webp,image/*;q=0.9,*/*;q=0.8", "image/jpeg"),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("image/*;q=0.5,application/json", "application/json"),
        ("image/png,application/json;q=0.1", "application/json"),
        ("image/png,image/jpeg;q=0.1", "image/jpeg"),
        ("image/webp,*/*", "image/jpeg"),
        ("text/html,*/*;q=0.1", "application/json"),
        (None, "application/json"),
    ],
)
def test_the_size_itself_gives_the_picture_to_who_prefers_it(http, done, accept, kind) -> None:
    url = f"/api/images/{done['image_id']}/thumbnails/small"
    response = http.get(url, headers={"Accept": accept} if accept else {})

    assert response.headers["Content-Type"] == kind
    assert response.headers["Vary"] == "Accept"
    if kind == "image/jpeg":
        assert response.content == http.get(done["thumbnails"]["small"]).content


@pytest.mark.parametrize("accept", ["image/png", "text/html", "image/jpeg;q=0", "image/png;q=0.5"])
def test_a_client_that_takes_neither_jpeg_nor_json_is_told_so(http, done, accept) -> None:
    url = f"/api/images/{done['image_id']}/thumbnails/small"

    problem(http.get(url, headers={"Accept": accept}), 406, "not_acceptable")
    assert http.get(f"{url}.jpg", headers={"Accept": accept}).status_code == 200, "has one form"


def test_a_thumbnail_may_be_kept_for_ever(http, done) -> None:
    url = done["thumbnails"]["small"]
    first = http.get(url)
    again = http.get(url, headers={"If-None-Match": first.headers["ETag"]})

    assert "immutable" in first.headers["Cache-Control"]
    assert "private" in first.headers["Cache-Control"]
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert http.get(url, headers={"If-None-Match": '"x"'}).status_code == 200
    assert first.headers["ETag"] != http.get(done["thumbnails"]["medium"]).headers["ETag"]


@pytest.mark.parametrize("size", ["large", "SMALL", "64", "small.png"])
@pytest.mark.parametrize("end", ["", ".jpg"])
def test_a_size_that_is_not_made_is_400(http, done, size, end) -> None:
    url = f"/api/images/{done['image_id']}/thumbnails/{size}{end}"

    assert problem(http.get(url), 400, "unknown_size")["sizes"] == ["small", "medium"]


def test_the_same_picture_twice_has_thumbnails_twice(http) -> None:
    data = plain("crimson")
    images = [processed(http, upload(http, data)) for _ in range(2)]

    assert [http.get(image["thumbnails"]["small"]).status_code for image in images] == [200, 200]
    http.delete(f"/captionImage/{images[0]['image_id']}")
    problem(http.get(images[0]["thumbnails"]["small"]), 410, "job_deleted")
    assert http.get(images[1]["thumbnails"]["small"]).status_code == 200
