"""The headers of every answer, against the real API process without workers."""

from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from tests.integration.access import Guarded, guarded
from tests.integration.door import opened
from tests.stacks import Stack


@pytest.fixture(scope="module")
def api(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("headers")
    with guarded(stack, folder, cors_origins="https://app.example") as started:
        yield started


@pytest.fixture(scope="module")
def alice(api: Guarded) -> Iterator[httpx.Client]:
    with api.client(api.key("alice")) as client:
        yield client


def test_every_answer_has_them(api, alice) -> None:
    with api.client() as nobody:
        answers = [
            alice.get("/captionImage"),
            nobody.get("/captionImage"),
            nobody.get("/healthz"),
            nobody.get("/nowhere"),
            nobody.put("/captionImage"),
            nobody.get("/openapi.json"),
        ]
    for answer in answers:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Frame-Options"] == "DENY"
        policy = answer.headers["Content-Security-Policy"]
        assert policy == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["X-Request-ID"]
        assert "Strict-Transport-Security" not in answer.headers


def test_the_page_of_the_description_runs_its_own_script_alone(api) -> None:
    with api.client() as nobody:
        page = nobody.get("/docs/")
        policy = page.headers["Content-Security-Policy"]
        assert policy.count("'sha256-") == 1
        assert "script-src 'self' 'sha256-" in policy
        assert nobody.get("/docs/swagger-ui.css").status_code == 200


def test_a_sane_request_id_is_kept_and_another_is_made(api, alice) -> None:
    kept = alice.get(f"/captionImage/{uuid4()}", headers={"X-Request-ID": "trace-1.a:b"})
    assert kept.headers["X-Request-ID"] == kept.json()["request_id"] == "trace-1.a:b"
    for bad in ("a b", "x" * 129, 'a"b', "ü".encode()):
        made = alice.get("/captionImage", headers={"X-Request-ID": bad})
        assert len(made.headers["X-Request-ID"]) == 32


def test_pages_of_named_origins_may_call_and_others_not(api) -> None:
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x"}
    with api.client() as nobody:
        for origin, allowed in (("https://app.example", True), ("https://evil.example", False)):
            before = nobody.options("/captionImage", headers={"Origin": origin, **ask})
            after = nobody.get("/captionImage", headers={"Origin": origin})
            for answer in (before, after):
                given = answer.headers.get("Access-Control-Allow-Origin")
                assert given == (origin if allowed else None)
                assert "Access-Control-Allow-Credentials" not in answer.headers
                assert "Origin" in answer.headers["Vary"]
            assert before.status_code == 200
            assert ("Access-Control-Allow-Methods" in before.headers) is allowed


def test_behind_tls_browsers_are_told_to_stay(stack, tmp_path) -> None:
    with opened(stack, tmp_path, hsts_s="600") as door:
        told = door.http.get("/healthz").headers["Strict-Transport-Security"]
        assert told == "max-age=600"
