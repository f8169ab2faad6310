"""Rows 9 to 20 against a running API: whatever picture comes, it looks at the header and lives on.

Which databases and brokers are behind it plays no part, so there is one stack.
"""

import random
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest
from PIL import Image

from tests.abuse.foreign import FOREIGN, foreign, heic
from tests.abuse.specimens import crumbs, frame_bomb, frames, lying_apng, metadata
from tests.abuse.watch import Watch
from tests.integration.calls import files, problem
from tests.integration.door import Door, opened
from tests.integration.first import stack as stack
from tests.pictures import encoded
from tests.stacks import Stack
from tests.unit.sample_images import scene
from tests.unit.test_images_damage import bombs
from tests.unit.test_images_formats import GARBAGE

KINDS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
ROUTES = {"/captionImage": "images", "/api/images": "file"}
"""To the field of the form."""


@pytest.fixture(scope="module")
def door(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder: Path = tmp_path_factory.mktemp("pictures")
    with opened(stack, folder, api_processes="1") as started:
        yield started


@pytest.fixture(scope="module", autouse=True)
def watch(door: Door) -> Watch:
    for kind in KINDS * 4:  # so that the process has loaded what its first requests load
        send(door, encoded(scene(), kind))
    return Watch(door)


def send(door: Door, data: bytes) -> list[httpx.Response]:
    """What each route says to a picture."""
    return [
        door.http.post(route, files={field: ("picture.png", data, "image/png")})
        for route, field in ROUTES.items()
    ]


NO_PICTURES = {
    **{f"9: {name}": data for name, data in GARBAGE.items()},
    **{f"10: {name}": foreign(name) for name in FOREIGN},
    "11: HEIC": heic(),
}


@pytest.mark.parametrize("name", NO_PICTURES)
def test_rows_9_to_11_what_is_no_picture_is_unsupported(door: Door, name: str) -> None:
    for answer in send(door, NO_PICTURES[name]):
        problem(answer, 415, "unsupported_image_format")


@pytest.mark.parametrize(("name", "bomb"), [pytest.param(*bomb, id=bomb[0]) for bomb in bombs()])
def test_row_12_a_bomb_is_refused_from_its_header(door: Door, name: str, bomb: bytes) -> None:
    elsewhere, pipeline = send(door, bomb)
    assert elsewhere.status_code == 422, elsewhere.text
    if name != "webp":  # which is damaged, besides
        problem(elsewhere, 422, "image_too_large")
    assert pipeline.status_code == (422 if "png" in name else 415), pipeline.text


@pytest.mark.parametrize(("_name", "data"), [pytest.param(*each, id=each[0]) for each in crumbs()])
def test_row_14_a_header_of_millions_of_parts_is_refused(door: Door, _name, data: bytes) -> None:
    elsewhere, pipeline = send(door, data)
    problem(elsewhere, 422, "image_undecodable")
    assert pipeline.status_code in (415, 422), pipeline.text


def test_row_14_pictures_that_are_refused_are_not_held_together(watch: Watch) -> None:
    """Of 119 MB in one form, one picture at a time is in memory; see `watch` for the bound."""
    data = crumbs()[0][1]
    answer = watch.door.http.post("/captionImage", files=files(*[data] * 8))
    assert len(problem(answer, 422, "image_undecodable")["errors"]) == 8


@pytest.mark.parametrize(
    ("_name", "data"), [pytest.param(*each, id=each[0]) for each in metadata()]
)
def test_row_14_metadata_is_dropped_or_refused(door: Door, _name, data: bytes) -> None:
    for answer in send(door, data):
        assert answer.status_code in (202, 415, 422), answer.text
        if answer.status_code == 202:
            assert len(door.http.get(answer.headers["Location"]).content) < 4_000


@pytest.mark.parametrize("kind", KINDS)
def test_rows_15_and_16_what_is_cut_or_damaged_is_no_fault_of_ours(door: Door, kind: str) -> None:
    whole, chance = encoded(scene(160, 100), kind), random.Random(kind)
    for percent in range(5, 100, 10):
        elsewhere, _ = send(door, whole[: len(whole) * percent // 100])
        assert elsewhere.status_code in (202, 422), elsewhere.text  # 202: its header is whole
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 12)):
            damaged[chance.randrange(64)] = chance.randrange(256)
        for answer in send(door, bytes(damaged)):
            assert answer.status_code in (202, 415, 422), answer.text


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_row_17_an_animation_is_a_picture(door: Door, kind: str) -> None:
    assert send(door, frames(kind, count=500))[0].status_code == 202


def test_row_17_neither_a_million_frames_nor_a_lie_about_them_matter(door: Door) -> None:
    for data in (frame_bomb(), lying_apng()):
        assert send(door, data)[0].status_code == 202


def polyglots() -> dict[str, bytes]:
    jar = BytesIO()
    with ZipFile(jar, "w") as file:
        file.writestr("META-INF/MANIFEST.MF", "Main-Class: Evil\n")
    page = b"<!doctype html><script>alert(1)</script>"
    told = Image.new("RGB", (48, 32), "navy")
    return {
        "GIF and JAR": encoded(scene(), "GIF") + jar.getvalue(),
        "JPEG and HTML": encoded(scene(), "JPEG") + page,
        "JPEG with HTML in a comment": encoded(told, "JPEG", comment=page),
        "PNG and HTML": encoded(scene(), "PNG") + page,
    }


@pytest.mark.parametrize("name", polyglots())
def test_row_20_a_picture_that_is_something_else_as_well_is_a_picture(door: Door, name) -> None:
    data = polyglots()[name]
    for answer in send(door, data):
        if name.startswith("GIF") and answer.url.path == "/api/images":
            assert answer.status_code == 415
            continue
        assert answer.status_code == 202, answer.text
        shown = door.http.get(answer.headers["Location"])
        assert shown.headers["X-Content-Type-Options"] == "nosniff"
        assert shown.headers["Content-Type"] == "application/json"


def test_rows_9_to_20_take_little_and_leave_nothing_in_the_log(watch: Watch) -> None:
    watch.check("IHDR", "JFIF", "GIF89a", "<script", "picture.png")
