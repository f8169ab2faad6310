"""Calls to the service that several tests make."""

import httpx

from tests.processes import until

FINAL = ("succeeded", "partial", "failed", "canceled", "expired")


def finished(http: httpx.Client, url: str) -> dict:
    until(lambda: http.get(url).json()["status"] in FINAL, what="end of the job")
    return http.get(url).json()


def problem(response: httpx.Response, status: int, code: str) -> dict:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body["code"] == code
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


def files(*pictures: bytes, field: str = "images") -> list:
    return [(field, (f"{n}.png", data, "image/png")) for n, data in enumerate(pictures)]


def ready_models(http: httpx.Client) -> set[str]:
    """Those that some worker has said it has ready."""
    return {
        name
        for worker in http.get("/workers").json()
        for name, model in worker["models"].items()
        if model["state"] == "ready"
    }
