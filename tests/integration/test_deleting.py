"""A job is deleted because somebody asked: what goes, what stays, and what is answered."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from captioner import jobs
from captioner.blobs import digest
from captioner.errors import JobDeleted
from models import Base
from tests.integration.alone import stack as stack
from tests.integration.calls import problem
from tests.integration.door import Door, id_of, opened
from tests.pictures import plain
from tests.stacks import Stack

SECRETS = ("Zebrafish Prompt", "zebrafish-file-name.png", "a zebrafish caption of ours")


@pytest.fixture(scope="module")
def door(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with opened(stack, tmp_path_factory.mktemp("door")) as door:
        yield door


def test_deleting_answers_what_was_removed(door: Door) -> None:
    pictures = [plain("teal"), plain("navy")]
    url = door.post(*pictures, plain("teal"))
    door.caption(url)

    response = door.http.delete(url)

    assert response.status_code == 200
    body = response.json()
    assert body.pop("deleted_at") > "2020"
    assert body == {
        "id": str(id_of(url)),
        "removed": {
            "images": 3,
            "blobs": 2,
            "bytes": sum(map(len, pictures)),
            "cached_captions": 0,
        },
        "pending_blobs": 0,
    }
    assert not {digest(picture) for picture in pictures} & door.files()


def test_a_deleted_job_is_gone_with_when_and_why(door: Door) -> None:
    url = door.post(plain("teal"))
    deleted_at = door.http.delete(url).json()["deleted_at"]

    for ask in (door.http.get, door.http.delete):
        body = problem(ask(url), 410, "job_deleted")
        assert body["reason"] == "asked"
        assert body["deleted_at"] == deleted_at
    for change in (jobs.cancel, jobs.retry):
        with pytest.raises(JobDeleted), door.database.write() as session:
            change(session, id_of(url))
    assert door.http.get("/captionImage", params={"id": str(id_of(url))}).json() == []


@pytest.mark.parametrize("name", ["0199aaaa-0000-7000-8000-000000000000", "nonsense"])
def test_a_job_that_never_was_is_not_found(door: Door, name: str) -> None:
    problem(door.http.delete(f"/captionImage/{name}"), 404, "job_not_found")


def test_a_job_at_work_may_be_deleted_and_its_late_result_finds_no_row(door: Door) -> None:
    url = door.post(plain("olive"), plain("pink"))
    held = door.claim(url)
    assert len(held) == 2
    door.finish(held[:1])

    assert door.http.delete(url).status_code == 200

    with door.database.write() as session:
        assert set(jobs.held_no_longer(session, held[1:])) == set(held[1:])
        jobs.renew(session, held, lease_s=60)
    door.finish(held)
    with door.database.write() as session:
        assert jobs.release(session, held) == {}
    problem(door.http.get(url), 410, "job_deleted")


def test_a_picture_that_another_job_uses_stays_until_that_is_deleted(door: Door) -> None:
    shared, own = plain("gold"), plain("gray")
    one, two = door.post(shared, own), door.post(shared)

    assert door.http.delete(one).json()["removed"]["blobs"] == 1
    assert digest(own) not in door.files()
    assert digest(shared) in door.files()
    assert door.http.delete(two).json()["removed"]["bytes"] == len(shared)
    assert digest(shared) not in door.files()


def test_a_caller_who_waits_for_a_deleted_job_is_told(door: Door) -> None:
    told: list = []

    def wait() -> None:
        files = [("images", ("x.png", plain("lime"), "image/png"))]
        told.append(door.http.post("/captionImageBlocking?timeout=30", files=files))

    waiting = threading.Thread(target=wait)
    waiting.start()
    url = door.queued()
    door.http.delete(url)
    waiting.join(timeout=20)

    (response,) = told
    problem(response, 410, "job_deleted")


def test_a_store_that_is_away_delays_the_pictures_only(door: Door) -> None:
    picture = plain("maroon")
    url = door.post(picture)
    place = door.folder / digest(picture)[:2]
    aside = place.with_name("aside")
    place.rename(aside)
    place.touch()  # a file where the folder was: the store cannot be used there

    body = door.http.delete(url).json()

    assert (body["removed"]["blobs"], body["pending_blobs"]) == (0, 1)
    problem(door.http.get(url), 410, "job_deleted")
    place.unlink()
    aside.rename(place)
    cleaner = door.cleaner()
    cleaner.turn()
    cleaner.turn()  # it begins anywhere among the hashes, so that twice is once round
    assert digest(picture) not in door.files()


def traces(door: Door, words: list[bytes]) -> list[bytes]:
    """Those of the words that are found anywhere in the database, the pictures or the log."""
    places = [path for path in door.folder.rglob("*") if path.is_file()] + [door.log]
    if door.database.engine.dialect.name == "sqlite":
        file = Path(str(door.database.engine.url.database))
        places += [file, *file.parent.glob(f"{file.name}-*")]
    found = b"".join(path.read_bytes() for path in places)
    with door.database.read() as session:
        for table in Base.metadata.tables:
            rows = session.execute(text(f'SELECT * FROM "{table}"')).all()
            found += repr(rows).encode()
    return [word for word in words if word in found]


@pytest.mark.parametrize("stored", ["true", "false"])
def test_nothing_that_was_sent_or_made_remains(door: Door, stored: str) -> None:
    prompt, name, caption = SECRETS
    pictures = [plain("purple", 333, 222), plain("purple", 222, 333)]
    words = [word.encode() for word in SECRETS] + [p[20:120] for p in pictures]
    url = door.post(*pictures, name=name, prompt=prompt, store=stored)
    door.caption(url, caption)
    assert traces(door, words) == words  # what cannot be found cannot be missed

    if stored == "true":
        assert door.http.delete(url).status_code == 200
    else:
        assert door.http.get(url).json()["result"] == [caption] * 2
        while door.http.get(url).status_code == 200:
            pass
    door.cleaner().turn()

    problem(door.http.get(url), 410, "job_deleted")
    assert traces(door, words) == []
