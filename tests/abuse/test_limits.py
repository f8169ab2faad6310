"""Rows 26, 27 and 28: keys of another for the same request, too many requests, a full queue."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import redis

from tests.abuse.watch import Watched, watched
from tests.integration.access import Guarded, guarded
from tests.integration.calls import files, problem
from tests.integration.door import opened
from tests.pictures import plain
from tests.processes import free_port
from tests.stacks import Stack

LIMIT = 300
OPERATORS_KEY = "a-key-of-the-settings"


@pytest.fixture(scope="module")
def api(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder: Path = tmp_path_factory.mktemp("limits")
    limits = {"rate_limit": f"{LIMIT}/minute", "quota_images_per_day": "10"}
    with watched(stack, folder, api_processes="2", **limits) as started:
        yield started


def burst(client: httpx.Client, count: int) -> Counter[int]:
    """So many requests from eight threads. A client here shares its connections."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.get("/captionImage?limit=1"), range(count)))
    for answer in answers:
        if answer.status_code == 429:
            body = problem(answer, 429, "rate_limited")
            assert 1 <= int(answer.headers["Retry-After"]) == body["retry_after_s"] <= 61
            assert answer.headers["RateLimit-Remaining"] == "0"
        assert answer.headers["RateLimit-Limit"] == str(LIMIT)
    return Counter(answer.status_code for answer in answers)


def test_row_26_the_idempotency_key_of_another_is_another_key(api: Guarded) -> None:
    header = {"Idempotency-Key": str(uuid4())}
    with api.client(api.key("anna")) as anna, api.client(api.key("ben")) as ben:
        hers = anna.post("/captionImage", files=files(plain()), headers=header)
        his = ben.post(
            "/captionImage", files=files(plain()), data={"max_new_tokens": "9"}, headers=header
        )
        again = ben.post(
            "/captionImage", files=files(plain()), data={"max_new_tokens": "9"}, headers=header
        )
        assert [each.status_code for each in (hers, his, again)] == [202] * 3
        assert hers.json()["id"] != his.json()["id"] == again.json()["id"]
        assert "Idempotency-Replayed" not in his.headers
        assert again.headers["Idempotency-Replayed"] == "true"
        another_body = ben.post("/captionImage", files=files(plain()), headers=header)
        problem(another_body, 422, "idempotency_key_reuse")
        with api.client(api.key("ben")) as bens_other_key:  # of one owner: the same job
            same = bens_other_key.post(
                "/captionImage", files=files(plain()), data={"max_new_tokens": "9"}, headers=header
            )
            assert same.json()["id"] == his.json()["id"]


@pytest.mark.parametrize("window", ["moving", "fixed"])
def test_row_27_of_a_thousand_requests_as_many_pass_as_may(stack, tmp_path, window) -> None:
    limits = {"rate_limit": f"{LIMIT}/minute", "rate_window": window, "api_processes": "2"}
    with guarded(stack, tmp_path, **limits) as api, api.client(api.key("carl")) as client:
        began = time.monotonic()
        counted = burst(client, 1000)
        took_s = time.monotonic() - began
        print(f"\n{window}: {dict(counted)} in {took_s:.1f} s")
        allowed = LIMIT * (1 + int(took_s // 60))
        assert abs(counted[200] - allowed) <= 0.05 * allowed
        assert counted[200] + counted[429] == 1000
        with api.client(api.key("carla")) as other:  # another key behind the same address
            assert burst(other, 50) == {200: 50}
        assert client.get("/healthz").status_code == 200


def test_row_27_without_keys_an_address_is_counted(stack: Stack, tmp_path: Path) -> None:
    changes = {"rate_limit": f"{LIMIT}/minute", "trusted_proxies": "1"}
    with opened(stack, tmp_path, **changes) as door:
        for address in ("192.0.2.1", "192.0.2.2", "2001:db8::1"):
            door.http.headers["X-Forwarded-For"] = address
            assert burst(door.http, LIMIT + 20) == {200: LIMIT, 429: 20}
        door.http.headers["X-Forwarded-For"] = "2001:db8::2"  # of the same network
        assert burst(door.http, 10) == {429: 10}


def test_row_27_who_shows_no_key_uses_up_nobody_elses_requests(stack, tmp_path) -> None:
    changes = {"api_key": OPERATORS_KEY, "rate_limit": "20/minute", "trusted_proxies": "1"}
    preflight = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    with (
        guarded(stack, tmp_path, **changes) as api,
        api.client() as nobody,
        api.client(OPERATORS_KEY) as operator,
    ):
        nobody.headers["X-Forwarded-For"] = "192.0.2.1"
        missed = [nobody.get("/nowhere").status_code for _ in range(25)]
        assert Counter(missed) == {404: 20, 429: 5}
        nobody.headers["X-Forwarded-For"] = "192.0.2.2"
        asked = [nobody.options("/captionImage", headers=preflight) for _ in range(20)]
        assert {answer.status_code for answer in asked} == {200}
        nobody.headers["X-Forwarded-For"] = "192.0.2.3"
        keyless = [nobody.get("/captionImage").status_code for _ in range(25)]
        assert Counter(keyless) == {401: 20, 429: 5}
        for address in ("192.0.2.1", "192.0.2.3"):
            operator.headers["X-Forwarded-For"] = address
            assert operator.get("/captionImage").status_code == 200
        assert operator.get("/captionImage").headers["RateLimit-Remaining"] == "17"


def test_row_27_many_keys_from_one_address_count_each_for_itself(api: Guarded) -> None:
    """So that nobody behind a shared address is shut out by another; guessing counts by address."""
    for key in (api.key("hugo"), api.key("hugo")):
        with api.client(key) as client:
            assert burst(client, LIMIT + 10) == {200: LIMIT, 429: 10}


def test_row_27_without_redis_each_process_counts_by_itself(stack: Stack, tmp_path: Path) -> None:
    nobody = f"redis://127.0.0.1:{free_port()}/0"
    broker = stack.environment.get("CAPTIONER_BROKER_URL", stack.environment["CAPTIONER_REDIS_URL"])
    places = {"redis_url": nobody, "broker_url": broker, "api_processes": "1"}
    with (
        guarded(stack, tmp_path, rate_limit=f"{LIMIT}/minute", **places) as api,
        api.client(api.key("dora")) as client,
    ):
        counted = burst(client, 1000)
        assert abs(counted[200] - LIMIT) <= 0.05 * LIMIT
        assert counted[200] + counted[429] == 1000
        log = api.door.log.read_text(encoding="utf-8")
        assert 1 <= log.count('"action": "limits_alone"') <= 20


def test_row_27_a_flushed_redis_begins_anew(api: Guarded) -> None:
    with api.client(api.key("emil")) as client:
        assert burst(client, LIMIT + 5)[429] == 5
        shared = redis.Redis.from_url(api.door.settings.redis_url)
        for name in shared.scan_iter("cap:limit:*"):
            shared.delete(name)
        assert burst(client, 5) == {200: 5}


def test_row_28_a_days_pictures_are_counted_by_key(api: Guarded) -> None:
    with api.client(api.key("fred")) as client, api.client(api.key("fred")) as other:

        def post(pictures: int, who: httpx.Client = client, **more: object) -> httpx.Response:
            return who.post("/captionImage", files=files(*[plain()] * pictures), **more)

        key = {"Idempotency-Key": str(uuid4())}
        assert post(6, headers=key).status_code == 202
        assert post(6, headers=key).status_code == 202  # the same job
        assert post(5, data={"model": "none"}).status_code == 422
        refused = client.post("/captionImage", files=files(b"text", b"text"))
        assert refused.status_code == 415  # what is refused does not count
        body = problem(post(5), 429, "quota_exceeded")
        assert (body["limit"], body["remaining"]) == (10, 4)
        assert body["retry_after_s"] > 86_000
        assert post(4).status_code == 202
        assert problem(post(1), 429, "quota_exceeded")["remaining"] == 0
        assert post(10, other).status_code == 202


def test_row_28_a_full_queue_says_when_to_come_back(stack: Stack, tmp_path: Path) -> None:
    bounds = {"max_images": "3", "max_queued_per_caller": "3"}
    with guarded(stack, tmp_path, **bounds) as api, api.client(api.key("gina")) as client:
        job = client.post("/captionImage", files=files(*[plain()] * 3))
        assert job.status_code == 202
        full = client.post("/captionImage", files=files(plain()))
        problem(full, 429, "queue_full")
        assert int(full.headers["Retry-After"]) >= 1
        assert client.delete(job.headers["Location"]).status_code == 200


def test_row_28_without_keys_an_ipv6_network_is_one_caller(stack: Stack, tmp_path: Path) -> None:
    bounds = {"max_images": "2", "max_queued_per_caller": "2", "trusted_proxies": "1"}
    with opened(stack, tmp_path, **bounds) as door:
        answers = []
        for address in ("2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"):
            door.http.headers["X-Forwarded-For"] = address
            answers.append(door.http.post("/captionImage", files=files(plain())))
        assert [answer.status_code for answer in answers] == [202, 202, 429, 202]
        problem(answers[2], 429, "queue_full")
        for answer in (answers[0], answers[1], answers[3]):
            assert door.http.delete(answer.headers["Location"]).status_code == 200


def test_rows_26_to_28_take_little_and_leave_nothing_in_the_log(api: Watched) -> None:
    api.check()
