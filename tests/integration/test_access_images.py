"""Whose images of the pipeline are seen, with two owners and an administrator."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from captioner.blobs import BlobStore, digest
from tests.contract.uploading import photograph, upload
from tests.integration.access import Guarded, guarded, told
from tests.integration.calls import problem
from tests.pictures import plain
from tests.stacks import Stack

PLACE = {"latitude": 48.858333, "longitude": -2.295}
PICTURE = {"Accept": "image/*"}
LOOKS = [
    ("", {}),
    ("?gps=true", {}),
    ("/thumbnails/small", {}),
    ("/thumbnails/small", PICTURE),
    ("/thumbnails/medium", PICTURE),
    ("/thumbnails/small.jpg", {}),
    ("/thumbnails/medium.jpg", {}),
]


@pytest.fixture(scope="module")
def api(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder: Path = tmp_path_factory.mktemp("images")
    with guarded(stack, folder) as started:
        yield started


@pytest.fixture(scope="module")
def alice(api: Guarded) -> Iterator[httpx.Client]:
    with api.client(api.key("alice")) as client:
        yield client


@pytest.fixture(scope="module")
def bob(api: Guarded) -> Iterator[httpx.Client]:
    with api.client(api.key("bob")) as client:
        yield client


@pytest.fixture(scope="module")
def admin(api: Guarded) -> Iterator[httpx.Client]:
    with api.client(api.key("root", "admin")) as client:
        yield client


@pytest.fixture(scope="module")
def hers(api: Guarded, alice: httpx.Client) -> str:
    """A photograph of Alice's with its caption, its place and its thumbnails."""
    data = photograph()
    image_id = str(upload(alice, data, "holiday.jpg").json()["image_id"])
    api.door.caption(f"/captionImage/{image_id}")
    thumbnails = {"small": b"a small one", "medium": b"a medium one"}
    BlobStore(api.door.settings.blobs).put_thumbnails(digest(data), thumbnails)
    return image_id


def listed(client: httpx.Client) -> set[str]:
    return {image["image_id"] for image in client.get("/api/images?limit=100").json()}


def test_a_list_of_images_has_its_callers_own(alice, bob, admin, hers) -> None:
    his = upload(bob, plain()).json()["image_id"]

    assert hers in listed(alice)
    assert listed(bob) == {his}
    assert his not in listed(alice)
    assert {hers, his} <= listed(admin)
    older = bob.get("/api/images", params={"cursor": "01ffffff-ffff-7fff-bfff-ffffffffffff"})
    assert [image["image_id"] for image in older.json()] == [his]


@pytest.mark.parametrize(("rest", "headers"), LOOKS)
def test_the_image_of_another_is_as_if_it_were_not_there(alice, bob, hers, rest, headers) -> None:
    nobodys = str(uuid4())
    answers = [bob.get(f"/api/images/{each}{rest}", headers=headers) for each in (hers, nobodys)]

    for answer in answers:
        problem(answer, 404, "image_not_found")
    assert told(answers[0], hers) == told(answers[1], nobodys)
    assert alice.get(f"/api/images/{hers}{rest}", headers=headers).status_code == 200


def test_the_owner_and_the_administrator_see_the_place_and_the_thumbnails(
    alice, admin, hers
) -> None:
    for client in (alice, admin):
        image = client.get(f"/api/images/{hers}", params={"gps": "true"}).json()
        assert image["metadata"]["gps"] == PLACE
        assert client.get(image["thumbnails"]["small"]).content == b"a small one"


def test_nor_is_it_told_that_an_image_of_another_was_deleted(alice, bob) -> None:
    gone = upload(alice, plain("teal")).json()["image_id"]
    assert alice.delete(f"/captionImage/{gone}").status_code == 200

    problem(bob.get(f"/api/images/{gone}"), 404, "image_not_found")
    problem(alice.get(f"/api/images/{gone}"), 410, "job_deleted")
