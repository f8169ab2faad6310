"""Who calls the hosts: never the API; a worker, and the next one when it is killed meanwhile."""

import base64
import json
import time
from pathlib import Path

import httpx
import redis

from tests import processes
from tests.integration.calls import FINAL
from tests.picture_server import allowing, serving
from tests.pictures import b64, png, sure
from tests.processes import until
from tests.stacks import Stack

COUNT = 12
SECRET = "sig-51d0c88a"


def test_a_worker_that_is_killed_while_it_fetches_loses_nothing(stack, tmp_path: Path) -> None:
    drawn = [png(scene) for scene in sure(COUNT, seed=24)]
    command = [processes.CAPTIONER, "worker"]
    with serving() as host:
        env = {**stack.environment, **allowing(host), "CAPTIONER_MODEL": "scenes"}
        env["CAPTIONER_MODELS"] = "scenes"
        for n, data in enumerate(drawn):
            host.add(f"/{n}.png", data, after_s=2)
        urls = [host.url(f"/{n}.png", f"key={SECRET}") for n in range(COUNT)]
        with processes.service(env, tmp_path, workers=0, ready=False) as base:
            answer = httpx.post(f"{base}/captionImage", json={"imgurls": urls}, timeout=30)
            job = f"{base}{answer.headers['Location']}"
            time.sleep(1)
            assert host.calls == {}
            assert_ids_alone(stack, answer.json()["id"])
            with processes.running(command, env, log=tmp_path / "first.log") as worker:
                until(lambda: len(host.calls) == 8, what="calls")
                worker.kill()
                worker.wait()
            assert httpx.get(job).json()["counts"]["unfinished"] == COUNT
            with processes.running(command, env, log=tmp_path / "second.log"):
                # Nothing is cached: the same pictures, sent, are what the captions are held to.
                sent = {"imgb64s": [b64(data) for data in drawn]}
                again = httpx.post(f"{base}/captionImage", json=sent, timeout=30)
                expected = ended(f"{base}{again.headers['Location']}")["result"]
                begun = time.monotonic()
                found = ended(job)
        print(
            f"\n{COUNT} pictures, killed with 8 under way: {sum(host.calls.values())} calls, "
            f"{found['counts']['succeeded']} succeeded, {time.monotonic() - begun:.1f} s later"
        )
        assert found["result"] == expected
        assert None not in expected
        assert all(1 <= calls <= 2 for calls in host.calls.values())
    for log in ("api.log", "first.log", "second.log"):
        assert SECRET not in (tmp_path / log).read_text()


def ended(job: str) -> dict:
    until(lambda: httpx.get(job).json()["status"] in FINAL, what=f"end of {job}", timeout_s=180)
    return dict(httpx.get(job).json())


def assert_ids_alone(stack: Stack, job_id: str) -> None:
    """What is in the queue of a Redis, which Flower shows too, are ids and positions."""
    if "CAPTIONER_BROKER_URL" in stack.environment:
        return
    client = redis.Redis.from_url(stack.environment["CAPTIONER_REDIS_URL"])
    lists = [key for key in client.keys("*") if client.type(key) == b"list"]
    messages = [entry.decode() for key in lists for entry in client.lrange(key, 0, -1)]
    ours = [message for message in messages if job_id in message]
    assert ours
    for message in ours:
        said = message + base64.b64decode(json.loads(message)["body"]).decode()
        assert not any(word in said for word in ("http", ".png", SECRET))
