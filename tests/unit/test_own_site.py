"""Where no key is asked for, pages of other sites are not served by a browser of this machine."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from api.app import create_app
from captioner import schema
from captioner.services import Services
from captioner.settings import Settings

APP = "https://app.example"


def client(folder: Path, **settings: object) -> FlaskClient:
    made = Settings(data_dir=folder, model="scenes", models="scenes", **settings)
    schema.upgrade(made)
    return create_app(Services(made)).test_client()


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000"])
def test_names_of_this_machine_are_answered(tmp_path: Path, host: str) -> None:
    assert client(tmp_path).get("/captionImage", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "localhost.evil.example",
                                  "192.0.2.1", "[::2]", "127.0.0.1.nip.io"])  # fmt: skip
def test_another_name_that_points_here_is_not(tmp_path: Path, host: str) -> None:
    asked = client(tmp_path)
    refused = asked.get("/captionImage", headers={"Host": host})
    assert (refused.status_code, refused.json["code"]) == (403, "not_from_here")
    assert "CAPTIONER_AUTH" in refused.json["detail"]
    assert asked.get("/healthz", headers={"Host": host}).status_code == 200
    everybody = client(tmp_path, auth="off")
    assert everybody.get("/captionImage", headers={"Host": host}).status_code == 200
    keyed = client(tmp_path, auth="required")
    assert keyed.get("/captionImage", headers={"Host": host}).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_nothing_is_taken_from_a_page_of_another_site(tmp_path: Path, headers: dict) -> None:
    asked = client(tmp_path, cors_origins=APP)
    for method, path in (("POST", "/captionImage"), ("DELETE", f"/captionImage/{'0' * 32}")):
        refused = asked.open(path, method=method, headers=headers)
        assert (refused.status_code, refused.json["code"]) == (403, "not_from_here")
    assert asked.get("/captionImage", headers=headers).status_code == 200  # which it cannot read


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": APP, "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_programs_its_own_pages_and_those_that_are_named_are_served(
    tmp_path: Path, headers: dict
) -> None:
    answer = client(tmp_path, cors_origins=APP).post("/captionImage", headers=headers)
    assert (answer.status_code, answer.json["code"]) == (415, "unsupported_media_type")


def test_what_debugging_opens_is_open_to_this_machine_alone(tmp_path: Path) -> None:
    asked = client(tmp_path, auth="required", debug=True)
    refused = asked.post("/api/admin/reset-cache", headers={"Origin": "https://evil.example"})
    assert (refused.status_code, refused.json["code"]) == (403, "not_from_here")
    assert asked.post("/api/admin/reset-cache").status_code != 403
