"""The cache of the VLM API, held to what its document says: who may reset it, and what if it fails.

Its document flushes the whole Redis database; here that is done to remembered captions alone, as a
Redis may have other users.
"""

from collections.abc import Iterator

import httpx
import pytest
import redis

from tests.integration.calls import files, problem
from tests.integration.door import Door, opened
from tests.integration.first import stack as stack
from tests.pictures import plain
from tests.processes import free_port
from tests.stacks import Stack

RESET = "/api/admin/reset-cache"
KEY = "the-key-of-the-settings"
CAPTION = f"cap:caption:{'c' * 64}"


@pytest.fixture(scope="module")
def door(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """With API_KEY, and with DEBUG=false, which is the default."""
    folder = tmp_path_factory.mktemp("keyed")
    with opened(stack, folder, api_key=KEY, cache_ttl_s="600", api_processes="1") as started:
        yield started


def remembered(door: Door) -> redis.Redis:
    """The Redis of the service, with a caption, and with what is somebody else's."""
    client = redis.Redis.from_url(door.settings.redis_url)
    client.hset(CAPTION, "scenes:x", '["a", null, [], null]')
    client.set("somebody:elses", "1")
    return client


def test_with_the_key_what_is_remembered_is_forgotten_and_nothing_else(door) -> None:
    client = remembered(door)
    answer = door.http.post(RESET, headers={"X-API-Key": KEY})

    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "model": None, "forgotten": 1}
    assert not client.exists(CAPTION)
    assert client.get("somebody:elses") == b"1"


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "change-me"}, {"X-API-Key": ""}], ids=str)
def test_without_the_key_it_is_401_and_nothing_is_forgotten(door, headers) -> None:
    client = remembered(door)
    answer = door.http.post(RESET, headers=headers)

    problem(answer, 401, "unauthorized")
    assert answer.headers["WWW-Authenticate"]
    assert client.exists(CAPTION)


def test_a_key_in_the_address_is_not_read_and_get_resets_nothing(door) -> None:
    client = remembered(door)

    problem(door.http.post(RESET, params={"key": KEY}), 401, "unauthorized")
    problem(door.http.get(RESET, headers={"X-API-Key": KEY}), 405, "method_not_allowed")
    assert client.exists(CAPTION)


def test_with_debug_no_key_is_asked_for(stack, tmp_path) -> None:
    debug = {"debug": "true", "cache_ttl_s": "600", "api_processes": "1"}
    with opened(stack, tmp_path, api_key=KEY, **debug) as door:
        client = remembered(door)
        assert door.http.post(RESET).status_code == 200
        assert not client.exists(CAPTION)


def test_requests_go_on_where_redis_is_away(stack, tmp_path) -> None:
    broker = stack.environment.get("CAPTIONER_BROKER_URL", stack.environment["CAPTIONER_REDIS_URL"])
    away = {"redis_url": f"redis://127.0.0.1:{free_port()}/0", "broker_url": broker}
    with opened(stack, tmp_path, api_key=KEY, cache_ttl_s="600", api_processes="1", **away) as door:
        reset = door.http.post(RESET, headers={"X-API-Key": KEY})
        problem(reset, 503, "cache_unavailable")
        assert door.http.post("/captionImage", files=files(plain())).status_code == 202
        answer = httpx.get(f"{door.http.base_url}/captionImage")
        assert answer.status_code == 200
