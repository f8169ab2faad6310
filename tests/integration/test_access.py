"""Keys, owners and headers, against the real API process without workers."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
import redis

from captioner.access.keyring import KNOWN_S
from models import ApiKey
from tests.integration.access import Guarded, guarded, told
from tests.integration.calls import files, problem
from tests.integration.door import opened
from tests.pictures import plain
from tests.processes import until
from tests.stacks import Stack

UNKNOWN = "0199aaaa-0000-7000-8000-000000000000"
ADMIN_KEY = "an-admin-key-of-the-settings"


@pytest.fixture(scope="module")
def api(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    limits = {"api_key": ADMIN_KEY, "auth_failures": "", "cache_ttl_s": "600"}
    with guarded(stack, folder, **limits) as started:
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
    with api.client(ADMIN_KEY) as client:
        yield client


def submit(client: httpx.Client, **more: object) -> str:
    response = client.post("/captionImage", files=files(plain()), **more)
    assert response.status_code == 202, response.text
    return response.json()["id"]


def ids(client: httpx.Client, **params: object) -> set[str]:
    listed, url = [], "/captionImage"
    while url:
        response = client.get(url, params=params if url == "/captionImage" else None)
        listed += response.json()
        url = response.links.get("next", {}).get("url")
    return {job["id"] for job in listed}


def test_a_key_is_taken_from_both_headers(api: Guarded) -> None:
    key = api.key("carol")
    with api.client() as client:
        for headers in (
            {"Authorization": f"Bearer {key}"},
            {"Authorization": f"bearer  {key}"},
            {"X-API-Key": key},
            {"Authorization": "Basic dTpw", "X-API-Key": key},
        ):
            assert client.get("/captionImage", headers=headers).status_code == 200
        assert client.get("/captionImage").status_code == 401


def test_a_key_that_was_just_made_is_known_at_once(api: Guarded) -> None:
    for number in range(5):
        with api.client(api.key(f"new-{number}")) as client:
            assert client.get("/captionImage").json() == []


def test_a_revoked_key_is_of_no_use_within_seconds(api: Guarded) -> None:
    key = api.key("dave")
    with api.client(key) as client:
        assert client.get("/captionImage").status_code == 200
        began = time.monotonic()
        api.revoke(key)
        until(
            lambda: all(client.get("/captionImage").status_code == 401 for _ in range(8)),
            what="refusal",
            timeout_s=KNOWN_S + 10,
        )
        assert time.monotonic() - began < KNOWN_S + 3
        problem(client.get("/captionImage"), 401, "unauthorized")


def test_a_key_expires_on_time(api: Guarded) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=2)
    with api.client(api.key("erin", expires_at=ends)) as client:
        assert client.get("/captionImage").status_code == 200
        until(lambda: datetime.now(UTC) > ends + timedelta(seconds=0.5), what="end")
        refused = problem(client.get("/captionImage"), 401, "unauthorized")
        assert "expired" in refused["detail"]
        assert 'error="invalid_token"' in client.get("/captionImage").headers["WWW-Authenticate"]


def test_the_last_use_of_a_key_is_noted(api: Guarded) -> None:
    key = api.key("frank")
    with api.client(key) as client:
        client.get("/captionImage")
    with api.door.database.read() as session:
        row = session.query(ApiKey).filter_by(owner="frank").one()
        assert row.last_used_at is not None
        assert key not in (row.prefix, row.sha256)


@pytest.mark.parametrize(
    ("scope", "method", "path", "status"),
    [
        ("read", "POST", "/captionImage", 403),
        ("read", "POST", "/captionImageBlocking", 403),
        ("read", "DELETE", f"/captionImage/{UNKNOWN}", 403),
        ("read", "POST", f"/captionImage/{UNKNOWN}/cancel", 403),
        ("read", "GET", "/captionImage", 200),
        ("read", "GET", "/metrics", 200),
        ("read", "GET", "/workers", 403),
        ("read", "GET", "/api/stats", 403),
        ("submit", "GET", "/api/stats", 403),
        ("submit", "GET", "/captionImage", 403),
        ("submit", "DELETE", f"/captionImage/{UNKNOWN}", 404),
        ("submit", "POST", "/api/admin/reset-cache", 403),
        ("admin", "GET", "/workers", 200),
        ("admin", "GET", "/api/stats", 200),
        ("admin", "GET", "/captionImage", 200),
    ],
)
def test_a_scope_allows_what_it_says(api: Guarded, scope, method, path, status) -> None:
    with api.client(api.key("grace", scope)) as client:
        response = client.request(method, path)
        assert response.status_code == status, response.text
        if status == 403:
            assert response.json()["code"] == "forbidden"
            assert "insufficient_scope" in response.headers["WWW-Authenticate"]


def test_a_caller_sees_only_its_own_jobs(alice, bob, admin) -> None:
    hers, his = submit(alice), submit(bob)
    assert hers in ids(alice)
    assert his not in ids(alice)
    assert hers not in ids(alice, id=his)
    assert {hers, his} <= ids(admin)
    assert ids(bob, id=[hers, his]) == {his}
    assert ids(bob, id=[hers, his], status="queued") == {his}
    assert admin.get(f"/captionImage/{hers}").status_code == 200


CALLS = [
    ("GET", ""),
    ("DELETE", ""),
    ("POST", "/cancel"),
    ("POST", "/retry"),
    ("GET", "/events"),
    ("GET", "/webhooks"),
    ("POST", f"/webhooks/{UNKNOWN}/replay"),
]


@pytest.mark.parametrize(("method", "rest"), CALLS)
def test_the_job_of_another_is_as_if_it_were_not_there(alice, bob, method, rest) -> None:
    hers, nobodys = submit(alice), str(uuid4())
    answers = [bob.request(method, f"/captionImage/{each}{rest}") for each in (hers, nobodys)]
    for answer in answers:
        problem(answer, 404, "job_not_found")
    assert told(answers[0], hers) == told(answers[1], nobodys)
    assert alice.get(f"/captionImage/{hers}").json()["status"] == "queued"


@pytest.mark.parametrize(("method", "rest"), CALLS)
def test_nor_is_it_told_that_it_was_deleted(alice, bob, admin, method, rest) -> None:
    hers = submit(alice)
    assert alice.delete(f"/captionImage/{hers}").status_code == 200
    problem(bob.request(method, f"/captionImage/{hers}{rest}"), 404, "job_not_found")
    for client in (alice, admin):
        problem(client.request(method, f"/captionImage/{hers}{rest}"), 410, "job_deleted")


def test_a_picture_that_two_have_goes_with_the_second(api, alice, bob) -> None:
    hers, his = submit(alice), submit(bob)
    removed = alice.delete(f"/captionImage/{hers}").json()["removed"]
    assert removed["images"] == 1
    assert removed["blobs"] == 0
    assert bob.get(f"/captionImage/{his}").json()["images"][0]["status"] == "queued"
    api.door.caption(f"/captionImage/{his}", "a red square")
    assert bob.get(f"/captionImage/{his}").json()["images"][0]["caption"] == "a red square"


def test_jobs_from_before_there_were_keys_are_the_administrators(stack, tmp_path, admin, alice):
    with opened(stack, tmp_path) as door:
        old = door.post(plain()).rpartition("/")[2]
        assert door.http.get(f"/captionImage/{old}").status_code == 200
    assert admin.get(f"/captionImage/{old}").status_code == 200
    problem(alice.get(f"/captionImage/{old}"), 404, "job_not_found")


def test_where_keys_are_off_everybody_sees_all(stack, tmp_path, alice) -> None:
    hers = submit(alice)
    with opened(stack, tmp_path) as door:
        assert door.http.get(f"/captionImage/{hers}").status_code == 200
        assert door.http.get("/workers").status_code == 200
        wrong = {"Authorization": "Bearer nonsense"}
        assert door.http.get("/captionImage", headers=wrong).status_code == 200


def test_the_share_of_the_queue_is_the_owners(stack, tmp_path) -> None:
    bounds = {"max_images": "2", "max_queued_per_caller": "2", "max_queued": "100000"}
    with guarded(stack, tmp_path, **bounds) as api:
        first, second = api.key("heidi"), api.key("heidi")
        with api.client(first) as one, api.client(second) as two, api.client(api.key("ivan")) as he:
            jobs = [submit(one), submit(two)]
            full = two.post("/captionImage", files=files(plain()))
            problem(full, 429, "queue_full")
            jobs.append(submit(he))
            for client, job in zip((one, one, he), jobs, strict=True):
                assert client.delete(f"/captionImage/{job}").status_code == 200


class TestResettingTheCache:
    PATH = "/api/admin/reset-cache"

    def test_needs_an_administrator_and_spares_what_is_not_a_caption(self, api, alice, admin):
        client = redis.Redis.from_url(api.door.settings.redis_url)
        client.set("somebody:elses", "1")
        client.hset(f"cap:caption:{'a' * 64}", "scenes:x", '["a", null, [], null]')
        client.hset(f"cap:caption:{'a' * 64}", "blip:x", '["a", null, [], null]')
        problem(alice.post(self.PATH), 403, "forbidden")
        with api.client() as nobody:
            problem(nobody.post(self.PATH), 401, "unauthorized")
            by_header = nobody.post(
                self.PATH, params={"model": "blip"}, headers={"X-API-Key": ADMIN_KEY}
            )
        assert by_header.json() == {"status": "ok", "model": "blip", "forgotten": 1}
        assert client.hlen(f"cap:caption:{'a' * 64}") == 1
        assert admin.post(self.PATH).json()["forgotten"] >= 1
        assert not client.exists(f"cap:caption:{'a' * 64}")
        assert client.get("somebody:elses") == b"1"
        problem(admin.post(self.PATH, params={"x": "1"}), 422, "invalid_request")

    def test_without_keys_it_still_needs_one_and_with_debug_none(self, stack, tmp_path) -> None:
        for name, changes in {"off": {}, "debug": {"debug": "true"}}.items():
            folder = tmp_path / name
            folder.mkdir()
            with opened(stack, folder, cache_ttl_s="600", **changes) as door:
                answer = door.http.post(self.PATH)
                assert answer.status_code == (200 if changes else 401), answer.text
