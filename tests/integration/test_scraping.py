"""What is scraped of running processes: an API counts once, in all its processes, and so on."""

import os
import random
import string
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import psutil
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from api.app import create_app
from api.errors import STATUS
from captioner.services import Services
from tests.empty import emptied
from tests.integration.calls import files, finished
from tests.integration.conftest import settings_of
from tests.pictures import plain, png, sure
from tests.processes import CAPTIONER, ROOT, answers, free_port, running, service, until
from tests.stacks import Stack

SHARED_MEMORY = Path("/dev/shm")


@pytest.fixture
def own(stack: Stack, tmp_path: Path) -> Iterator[Stack]:
    with emptied(stack, tmp_path) as emptied_stack:
        yield emptied_stack


def page(address: str) -> dict[tuple[str, ...], float]:
    answer = httpx.get(address)
    assert answer.status_code == 200
    return {
        # By the labels' names: in several processes they come in another order than in one.
        (sample.name.removeprefix("captioner_"), *(v for _, v in sorted(sample.labels.items()))):
            sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }  # fmt: skip


def counts_folders(base: str) -> list[Path]:
    """Those of the API at this address, and of no other that runs beside it."""
    port = int(base.rpartition(":")[2])
    pids = {
        each.pid for each in psutil.net_connections("tcp4")
        if each.laddr and each.laddr.port == port and each.status == psutil.CONN_LISTEN
    }  # fmt: skip
    parents = {psutil.Process(pid).ppid() for pid in pids if pid}
    return [
        found for pid in pids | parents for found in SHARED_MEMORY.glob(f"captioner-counts-{pid}-*")
    ]


def test_every_process_of_an_api_tells_what_all_have_answered(own, tmp_path) -> None:
    environment = {**own.environment, "CAPTIONER_API_PROCESSES": "3"}
    with service(environment, tmp_path, workers=0, ready=False) as base:
        asked = Counter(httpx.get(f"{base}/healthz").status_code for _ in range(60))
        httpx.get(f"{base}/captionImage/{uuid4()}")
        httpx.post(f"{base}/captionImage", json={"imgb64s": ["?"]})
        assert asked == {200: 60}
        pages = [page(f"{base}/metrics") for _ in range(12)]
        (counted,) = counts_folders(base)
    told = {found["http_requests_total", "2xx", "GET", "/healthz"] for found in pages}
    assert len(told) == 1
    assert 60 <= told.pop() <= 70  # and those by which it was seen that the API had come up
    for found in pages:
        assert found["http_requests_total", "4xx", "GET", "/captionImage/<job_id>"] == 1
        assert found["http_errors_total", "job_not_found"] == 1
        assert found["http_errors_total", "invalid_base64"] == 1
        assert found["http_request_seconds_count", "/captionImage"] == 1
        assert found["api_memory_bytes",] > 4 * 20e6  # three, and the one that they come from
    assert not counted.exists()


def test_what_workers_did_is_told_by_the_service_and_by_each_of_them(own, tmp_path) -> None:
    port = free_port()
    environment = {
        **own.environment,
        "CAPTIONER_WORKER_METRICS_PORT": str(port),
        "CAPTIONER_HEARTBEAT_S": "1",
    }
    broken = plain(width=320)[:-40]
    with (
        service(environment, tmp_path, workers=2, timeout_s=120) as base,
        httpx.Client(base_url=base) as http,
    ):
        until(lambda: page(f"{base}/metrics")["workers", "ready"] == 2, what="second worker")
        pictures = [*map(png, sure(4)), broken]
        accepted = http.post("/captionImage", files=files(*pictures))
        assert finished(http, accepted.headers["Location"])["status"] == "partial"
        until(
            lambda: page(f"{base}/metrics")["images_finished_total", "scenes", "succeeded"] == 4,
            what="figures",
        )
        told = page(f"{base}/metrics")
        own_pages = [page(f"http://127.0.0.1:{port + n}/metrics") for n in (0, 1)]
    assert told["accepted_jobs_total", "scenes"] == 1
    assert told["accepted_images_total", "scenes"] == 5
    assert told["images_finished_total", "scenes", "failed"] == 1
    assert told["image_errors_total", "image_truncated"] == 1
    assert told["batch_images_sum", "scenes"] == 4
    assert told["stage_duration_seconds_count", "scenes", "decode"] == 4
    assert told["stage_duration_seconds_bucket", "+Inf", "scenes", "decode"] == 4
    assert 0 < told["disk_free_bytes", "pictures"] < told["disk_bytes", "pictures"]
    total = sum(each["worker_images_finished_total", "scenes", "succeeded"] for each in own_pages)
    assert total == 4
    for each in own_pages:
        assert each["process_resident_memory_bytes",] > 50e6
        assert each["worker_held_images",] == each["worker_batch_running_seconds",] == 0
        assert not any(name[0] == "queue_images" for name in each)


def test_a_workers_metrics_are_for_this_machine_alone_unless_asked(own, tmp_path) -> None:
    import psutil

    port = free_port()
    environment = {**own.environment, "CAPTIONER_WORKER_METRICS_PORT": str(port)}
    environment |= {"CAPTIONER_MODEL": "scenes", "CAPTIONER_MODELS": "scenes"}
    with running([CAPTIONER, "worker"], environment, log=tmp_path / "worker.log") as worker:
        until(lambda: answers(f"http://127.0.0.1:{port}/metrics"), what="metrics")
        listening = {
            each.laddr
            for each in psutil.Process(worker.pid).net_connections(kind="inet")
            if each.status == psutil.CONN_LISTEN
        }
    assert listening == {("127.0.0.1", port)}


def test_a_worker_that_was_killed_is_told_as_lost(own, tmp_path) -> None:
    environment = {**own.environment, "CAPTIONER_HEARTBEAT_S": "1"}
    environment |= {"CAPTIONER_MODEL": "scenes", "CAPTIONER_MODELS": "scenes"}
    with service(environment, tmp_path, workers=0, ready=False) as base:
        with running([CAPTIONER, "worker"], environment, log=tmp_path / "w.log") as worker:
            until(lambda: page(f"{base}/metrics")["workers", "ready"] == 1, what="worker")
            assert page(f"{base}/metrics")["workers", "lost"] == 0
            worker.kill()
        until(lambda: page(f"{base}/metrics")["workers", "lost"] == 1, what="loss")
        assert page(f"{base}/metrics")["workers", "ready"] == 0


def test_the_key_that_compose_makes_for_prometheus_reads_metrics_and_nothing_of_others(
    own, tmp_path
) -> None:
    """The command of the compose file, run where its container would run it."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    command = compose["services"]["metrics-key"]["command"]
    path = f"{Path(CAPTIONER).parent}:{os.environ['PATH']}"
    environment = {**own.environment, "CAPTIONER_AUTH": "required", "PATH": path}
    made = []
    for _ in range(2):  # the second time, it is there
        subprocess.run(command, cwd=tmp_path, env=environment, check=True)
        made.append((tmp_path / "key").read_text().strip())
    assert made[0] == made[1]
    assert (tmp_path / "key").stat().st_mode & 0o044 == 0o044  # Prometheus is another user
    with service(environment, tmp_path, workers=0, ready=False) as base:
        shown = {"Authorization": f"Bearer {made[0]}"}
        assert httpx.get(f"{base}/metrics").status_code == 401
        assert httpx.get(f"{base}/metrics", headers=shown).status_code == 200
        assert httpx.get(f"{base}/captionImage", headers=shown).json() == []
        assert httpx.get(f"{base}/workers", headers=shown).status_code == 403
        assert httpx.post(f"{base}/captionImage", headers=shown).status_code == 403


def test_whatever_clients_send_there_are_few_series(own) -> None:
    """10,000 random paths, ids, keys, formats, methods and models."""
    drawn = random.Random(32)
    services = Services(settings_of(own))
    client = create_app(services).test_client()

    def word() -> str:
        return "".join(drawn.choices(string.ascii_letters + "_-.~%é", k=drawn.randint(1, 24)))

    strange: list[Callable[[], object]] = [
        lambda: client.get(f"/{word()}/{word()}"),
        lambda: client.get(f"/captionImage/{uuid4()}"),
        lambda: client.get(f"/captionImage/{word()}"),
        lambda: client.get(f"/healthz?{word()}={word()}", headers={"X-API-Key": word()}),
        lambda: client.open("/healthz", method=word().encode("ascii", "ignore").decode()),
        lambda: client.post("/captionImage", json={"imgb64s": [word()], "model": word()}),
        lambda: client.post("/captionImage", data=word(), content_type=f"image/{word()[:8]}"),
    ]
    try:
        for _ in range(10_000):
            drawn.choice(strange)()
        told = client.get("/metrics").text
    finally:
        services.close()
    found = [sample for family in text_string_to_metric_families(told) for sample in family.samples]
    values: dict[str, set[str]] = {}
    for sample in found:
        for name, value in sample.labels.items():
            values.setdefault(name, set()).add(value)
    assert len(found) <= 500
    assert values["model"] <= {"scenes", "other"}
    assert values["route"] <= {rule.rule for rule in client.application.url_map.iter_rules()} | {
        "none"
    }
    assert values["method"] <= {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"}
    known = {*STATUS, "not_found", "method_not_allowed", "unsupported_media_type", "bad_request"}
    assert values["code"] <= {"2xx", "3xx", "4xx", "5xx"} | known
    assert sum(s.value for s in found if s.name == "captioner_http_requests_total") == 10_000
