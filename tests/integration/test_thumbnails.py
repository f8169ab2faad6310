"""Thumbnails come with the caption and go with the picture, whenever that is."""

import os
import time
from collections.abc import Iterator
from io import BytesIO

import pytest
from PIL import Image
from sqlalchemy import func, select, update

from captioner import jobs
from captioner.blobs import THUMBNAILS, BlobStore, digest
from captioner.clock import now_plus
from captioner.images import ImageLimits
from captioner.work import Claim, Outcome
from models import ImageDetails, Job, JobImage
from tests.integration.alone import stack as stack
from tests.integration.calls import problem
from tests.integration.door import Door, id_of, opened
from tests.pictures import encoded, plain
from tests.stacks import Stack
from worker.decode_pool import DecodePool
from worker.thumbnails import Thumbnails, drop_deleted


@pytest.fixture(scope="module")
def door(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with opened(stack, tmp_path_factory.mktemp("door"), gemini_api_key="sesame") as door:
        yield door


@pytest.fixture(scope="module")
def decoders(door: Door) -> Iterator[DecodePool]:
    limits = ImageLimits.from_settings(door.settings)
    with DecodePool(limits=limits, processes=1, timeout_s=10, memory_bytes=2**30) as pool:
        yield pool


def upload(door: Door, data: bytes, **fields: str) -> str:
    """Returns the image's address."""
    response = door.http.post("/api/images", files={"file": ("x.png", data)}, data=fields)
    assert response.status_code == 202, response.text
    return response.headers["Location"]


def take(door: Door, url: str) -> Claim:
    (claim,) = door.claim(url)
    return claim


def process(
    door: Door, decoders: DecodePool, claim: Claim, *, meanwhile: str = "", **changes: int
) -> Outcome:
    """What a worker of these settings does of it, but for the caption. `meanwhile` a job may be
    deleted.
    """
    blobs = BlobStore(door.settings.blobs)
    making = Thumbnails(door.settings.model_copy(update=changes), blobs, decoders)
    making.begin(claim, blobs.get(claim.blob_sha256 or ""))
    if meanwhile:
        assert door.http.delete(job_of(meanwhile)).status_code == 200
    return making.stored(Outcome(claim, caption="a picture"))


def thumbnails(door: Door, data: bytes) -> set[str]:
    return {f"{digest(data)}.{name}" for name in THUMBNAILS} & door.files()


def job_of(url: str) -> str:
    return f"/captionImage/{id_of(url)}"


def test_only_images_of_the_pipeline_have_thumbnails_made(door: Door) -> None:
    assert not door.claim(door.post(plain("pink")))[0].thumbnails
    assert take(door, upload(door, plain("pink"))).thumbnails


def test_a_job_of_another_route_has_no_details(door: Door) -> None:
    with door.database.read() as session:
        before = session.scalar(select(func.count()).select_from(ImageDetails))
    door.post(plain("pink"), plain("tan"))
    with door.database.read() as session:
        assert session.scalar(select(func.count()).select_from(ImageDetails)) == before


def test_thumbnails_are_not_there_before_the_caption_is(door: Door, decoders: DecodePool) -> None:
    data = plain("orchid")
    url = upload(door, data)
    body = problem(door.http.get(f"{url}/thumbnails/small"), 409, "thumbnail_not_ready")
    assert body["job_status"] == "queued"
    assert door.http.get(url).json()["thumbnails"] is None

    claim = take(door, url)
    outcome = process(door, decoders, claim)
    assert thumbnails(door, data) == {f"{digest(data)}.small", f"{digest(data)}.medium"}
    problem(door.http.get(f"{url}/thumbnails/small.jpg"), 409, "thumbnail_not_ready")
    with door.database.write() as session:
        jobs.finish(session, [outcome])

    assert door.http.get(f"{url}/thumbnails/small.jpg").status_code == 200


def test_they_are_shown_while_the_image_waits_for_its_styles(door, decoders) -> None:
    url = upload(door, plain("wheat"), styles="Witty")
    with door.database.write() as session:
        jobs.finish(session, [process(door, decoders, take(door, url))])

    shown = door.http.get(url).json()
    assert (shown["caption"], shown["style_status"]) == ("a picture", None)
    assert door.http.get(shown["thumbnails"]["small"]).status_code == 200
    assert door.http.get(f"{url}/thumbnails/medium").status_code == 200


def done(door: Door, decoders: DecodePool, data: bytes, **changes: int) -> str:
    url = upload(door, data)
    with door.database.write() as session:
        jobs.finish(session, [process(door, decoders, take(door, url), **changes)])
    return url


def test_their_sizes_are_those_of_the_settings_when_they_were_made(door, decoders) -> None:
    url = done(
        door, decoders, plain("moccasin", 600, 300), thumbnail_small=40, thumbnail_medium=200
    )
    usual = done(door, decoders, plain("moccasin", 600, 302))

    sizes = [
        Image.open(BytesIO(door.http.get(f"{each}/thumbnails/{name}.jpg").content)).size
        for each in (url, usual)
        for name in THUMBNAILS
    ]
    assert sizes == [(40, 20), (200, 100), (64, 32), (128, 64)]


PAGE = b"<!doctype html><script>alert(1)</script>"
JAR = b"PK\x03\x04META-INF/MANIFEST.MF"
POLYGLOTS = {
    "JPEG and HTML": encoded(Image.new("RGB", (200, 100), "olive"), "JPEG") + PAGE + JAR,
    "JPEG with HTML in its comment": encoded(
        Image.new("RGB", (200, 100), "tomato"), "JPEG", comment=PAGE + JAR
    ),
    "PNG and HTML": plain("salmon", 200, 100) + PAGE + JAR,
}


@pytest.mark.parametrize("name", POLYGLOTS)
def test_of_a_picture_that_is_a_page_as_well_the_pixels_alone_are_served(
    door, decoders, name
) -> None:
    url = done(door, decoders, POLYGLOTS[name])
    for size in THUMBNAILS:
        served = door.http.get(f"{url}/thumbnails/{size}.jpg")
        assert served.headers["Content-Type"] == "image/jpeg"
        assert served.headers["X-Content-Type-Options"] == "nosniff"
        assert served.content.startswith(b"\xff\xd8")
        assert served.content.endswith(b"\xff\xd9")
        assert not any(each in served.content for each in (b"script", b"doctype", b"META-INF"))


def test_thumbnails_go_with_the_picture_when_its_last_job_is_deleted(door, decoders) -> None:
    data = plain("plum")
    urls = [done(door, decoders, data) for _ in range(2)]
    other = door.post(data)

    door.http.delete(job_of(urls[0]))
    assert len(thumbnails(door, data)) == 2, "another image has them"
    door.http.delete(job_of(urls[1]))
    problem(door.http.get(f"{urls[1]}/thumbnails/small"), 410, "job_deleted")
    problem(door.http.get(urls[1]), 410, "job_deleted")
    door.http.delete(other)

    assert not thumbnails(door, data)
    assert digest(data) not in door.files()
    with door.database.read() as session:
        assert session.get(ImageDetails, id_of(urls[0])) is None


def test_thumbnails_go_when_pictures_are_kept_no_longer(door, decoders) -> None:
    data = plain("peru")
    url = done(door, decoders, data)
    with door.database.write() as session:
        for its, job_id in ((Job, Job.id), (JobImage, JobImage.job_id)):
            session.execute(
                update(its).where(job_id == id_of(url)).values(finished_at=now_plus(-100))
            )

    door.cleaner(keep_blobs_s=50).turn()

    assert not thumbnails(door, data)
    image = door.http.get(url).json()
    assert (image["caption"], image["thumbnails"]) == ("a picture", None)
    assert image["metadata"]["bytes"] == len(data), "is known as long as the job is"
    assert door.http.get(url, params={"gps": "true"}).json()["metadata"]["gps"] is None
    problem(door.http.get(f"{url}/thumbnails/medium"), 404, "thumbnail_not_found")
    problem(door.http.get(f"{url}/thumbnails/medium.jpg"), 404, "thumbnail_not_found")


def test_thumbnails_that_are_made_after_the_deletion_are_taken_away(door, decoders) -> None:
    data = plain("sienna")
    url = upload(door, data)
    outcome = process(door, decoders, take(door, url), meanwhile=url)
    assert len(thumbnails(door, data)) == 2, "nobody has told the worker"

    with door.database.write() as session:
        assert jobs.finish(session, [outcome]) == {}
    drop_deleted(door.database, BlobStore(door.settings.blobs), [outcome])

    assert not thumbnails(door, data)


def test_thumbnails_that_a_lost_worker_left_are_swept(door, decoders) -> None:
    data, needed = plain("khaki"), plain("linen")
    url = upload(door, data)
    process(door, decoders, take(door, url), meanwhile=url)  # and then it is lost
    done(door, decoders, needed)
    door.cleaner().sweep()
    assert len(thumbnails(door, data)) == 2, "young"

    long_ago = time.time() - 3 * 24 * 3600
    for path in door.folder.rglob("*.*"):
        os.utime(path, (long_ago, long_ago))
    door.cleaner().sweep()

    assert not thumbnails(door, data)
    assert len(thumbnails(door, needed)) == 2


def test_a_store_that_is_away_for_thumbnails_has_the_image_tried_later(door, decoders) -> None:
    claim = take(door, upload(door, plain("wheat")))
    blobs = BlobStore(door.settings.blobs)
    data = blobs.get(claim.blob_sha256 or "")
    away = BlobStore("file:///proc/nowhere")
    making = Thumbnails(door.settings, away, decoders)
    making.begin(claim, data)

    error = making.stored(Outcome(claim, caption="a picture")).error

    assert error is not None
    assert (error.code, error.retryable) == ("storage_unavailable", True)


def test_thumbnails_that_fail_are_told_with_the_job(door, decoders, caplog) -> None:
    class Full(BlobStore):
        def put_thumbnails(self, sha256: str, files: object) -> None:
            raise OSError("no space left")

    claim = take(door, upload(door, plain("linen")))
    making = Thumbnails(door.settings, Full(door.settings.blobs), decoders)
    making.begin(claim, BlobStore(door.settings.blobs).get(claim.blob_sha256 or ""))

    assert making.stored(Outcome(claim, caption="a picture")).error is not None
    (line,) = [each for each in caplog.records if each.name == "worker.thumbnails"]
    assert vars(line)["job_id"] == str(claim.job_id)
