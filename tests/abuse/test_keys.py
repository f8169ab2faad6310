"""Rows 1, 2 and 3: no key, a wrong key, another's jobs, and guessing."""

import re
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from uuid_utils.compat import uuid7

from api.openapi import document
from api.openapi.access import METHODS, OPEN
from captioner.access import keys
from tests.abuse.watch import Watched, watched
from tests.integration.access import Guarded, guarded
from tests.integration.calls import files, problem
from tests.pictures import plain
from tests.stacks import Stack

UNKNOWN = "0199aaaa-0000-7000-8000-000000000000"
ADMINISTRATORS = [
    ("POST", "/api/admin/reset-cache"), ("GET", "/workers"), ("GET", "/api/stats"),
]  # fmt: skip
GUARDED = [
    (method.upper(), re.sub(r"\{\w+\}", UNKNOWN, path))
    for path, item in document()["paths"].items()
    for method in METHODS
    if method in item and path not in OPEN
]


@pytest.fixture(scope="module")
def api(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder: Path = tmp_path_factory.mktemp("keys")
    with watched(stack, folder, api_processes="1", auth_failures="") as started:
        yield started


@pytest.fixture(scope="module")
def wrong_keys(api: Guarded) -> dict[str, str]:
    """A key of each kind that is of no use."""
    revoked, expired = api.key("eve"), api.key(
        "eve", expires_at=datetime.now(UTC) + timedelta(seconds=1)
    )  # fmt: skip
    api.revoke(revoked)
    time.sleep(1.2)
    good = api.key("eve")
    return {
        "revoked": revoked,
        "expired": expired,
        "unknown": keys.new_key(),
        "cut": good[:-1],
        "of another sum": good[:-1] + ("a" if good[-1] != "a" else "b"),
        "with another's beginning": keys.prefix_of(good) + keys.new_key()[12:],
        "malformed": "' OR 1=1 --",
        "long": "cap_" + "a" * 5_000,
        "empty": "",
    }


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_row_1_every_route_asks_for_a_key(api: Guarded, wrong_keys, method, path) -> None:
    good = api.key("wendy", "admin")
    with api.client() as client:
        for query in ({}, {"key": good}, {"api_key": good}, {"access_token": good}):
            answer = client.request(method, path, params=query)
            problem(answer, 401, "unauthorized")
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="captioner"'
        for name, key in wrong_keys.items():
            for headers in ({"Authorization": f"Bearer {key}".strip()}, {"X-API-Key": key}):
                answer = client.request(method, path, headers=headers)
                assert answer.status_code == 401, name
                assert key not in answer.text or not key
        assert client.request(method, path, headers={"Authorization": good}).status_code == 401
        right = client.request(method, path, headers={"Authorization": f"Bearer {good}"})
        assert right.status_code not in (401, 403)


def test_row_1_what_is_open_is_open(api: Guarded) -> None:
    with api.client() as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503  # there is no worker
        assert client.get("/openapi.json").status_code == 200
        assert client.get("/docs/").status_code == 200
        assert client.get("/nowhere").status_code == 404


def test_row_1_a_body_is_not_read_before_the_key(api: Guarded) -> None:
    with api.client() as client:
        answer = client.post(
            "/captionImage", content=b"[" * 100_000, headers={"Content-Type": "application/json"}
        )
        problem(answer, 401, "unauthorized")


def test_row_2_a_users_key_opens_no_administrators_route(api: Guarded) -> None:
    with api.client(api.key("walter")) as client:
        for method, path in ADMINISTRATORS:
            answer = client.request(method, path)
            assert problem(answer, 403, "forbidden")["scope"] == "admin"


def test_row_2_a_thousand_ids_of_another_are_like_a_thousand_of_nobody(api: Guarded) -> None:
    with api.client(api.key("trent")) as hers, api.client(api.key("trudy")) as his:
        theirs = [
            hers.post("/captionImage", files=files(*[plain()] * 20)).json()["id"] for _ in range(20)
        ]
        times: dict[bool, list[float]] = {True: [], False: []}
        for number in range(1000):
            real = number % 2 == 0
            job_id = theirs[number // 2 % len(theirs)] if real else str(uuid7())
            began = time.perf_counter()
            answer = his.get(f"/captionImage/{job_id}")
            times[real].append(time.perf_counter() - began)
            body = problem(answer, 404, "job_not_found")
            assert body["detail"] == f"There is no job with the id '{job_id}'."
            assert set(body) == {
                "type", "title", "status", "detail", "code", "request_id"
            }  # fmt: skip
        there, nowhere = (statistics.median(times[real]) for real in (True, False))
        print(f"\nmedian of another's {there * 1e3:.2f} ms, of nobody's {nowhere * 1e3:.2f} ms")
        assert abs(there - nowhere) < 0.15 * nowhere + 0.0002
        assert his.get("/captionImage").json() == []


def test_row_2_ids_cannot_be_guessed(api: Guarded) -> None:
    with api.client(api.key("victor")) as client:
        ids = [client.post("/captionImage", files=files(plain())).json()["id"] for _ in range(20)]
    assert {each[14] for each in ids} <= {"4", "7"}
    assert len({each[20:] for each in ids}) == 20  # 62 bits that are not the time


def test_row_3_guessing_is_refused_and_then_slowed_down(stack: Stack, tmp_path: Path) -> None:
    with (
        guarded(stack, tmp_path, auth_failures="20/minute", api_processes="1") as api,
        api.client() as client,
    ):
        good = api.key("oscar")
        tries = [
            client.get("/captionImage", headers={"X-API-Key": keys.new_key()}) for _ in range(40)
        ]
        assert [answer.status_code for answer in tries] == [401] * 20 + [429] * 20
        last = problem(tries[-1], 429, "rate_limited")
        assert 1 <= int(tries[-1].headers["Retry-After"]) <= 60
        assert last["retry_after_s"] == int(tries[-1].headers["Retry-After"])
        # One with a right key behind the same address is not shut out, and none at all is no guess.
        assert client.get("/captionImage", headers={"X-API-Key": good}).status_code == 200
        assert client.get("/captionImage").status_code == 401


def test_row_3_a_secret_that_is_nearly_right_takes_no_longer(api: Guarded) -> None:
    body = api.key("peggy")[:-6]
    other_end = body[:-1] + ("1" if body.endswith("0") else "0")
    near, far = (resummed(text) for text in (other_end, body[:12] + "0" * 32))
    with api.client() as client:
        times: dict[str, list[float]] = {near: [], far: []}
        for shown in [near, far] * 300:
            began = time.perf_counter()
            assert client.get("/captionImage", headers={"X-API-Key": shown}).status_code == 401
            times[shown].append(time.perf_counter() - began)
    # The quickest tenth of each: what else the machine does makes calls longer, and none shorter.
    one, other = (statistics.quantiles(each, n=10)[0] for each in times.values())
    print(f"\nof nearly right ones {one * 1e3:.2f} ms, of all wrong ones {other * 1e3:.2f} ms")
    assert abs(one - other) < 0.15 * other + 0.0002


def test_rows_1_to_3_take_little_and_leave_nothing_in_the_log(api: Watched, wrong_keys) -> None:
    api.check(*(key for key in wrong_keys.values() if key))


def resummed(body: str) -> str:
    """A key whose sum is right, as anybody can make one."""
    return body + keys.sum_of(body)
