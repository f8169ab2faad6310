"""The form of keys, where they are asked for, and which limits make sense."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from api.app import create_app
from api.guard import network
from captioner import schema
from captioner.access import book, doors, keys
from captioner.access.callers import ANYBODY, NOBODY, Caller
from captioner.access.keyring import OPERATOR
from captioner.database import Database
from captioner.errors import Forbidden
from captioner.services import Services
from captioner.settings import Settings
from models import Scope
from tests.processes import environment


def test_keys_have_one_form_and_differ() -> None:
    made = {keys.new_key() for _ in range(1000)}

    assert len(made) == 1000
    assert all(re.fullmatch(r"cap_[0-9A-Za-z]{46}", key) for key in made)
    assert all(map(keys.is_key, made))
    assert len({keys.prefix_of(key) for key in made}) == 1000


def test_a_mistyped_key_is_no_key() -> None:
    key = keys.new_key()

    for n in range(len(key)):
        other = "b" if key[n] == "a" else "a"
        assert not keys.is_key(key[:n] + other + key[n + 1 :])
    for text in ("", key[:-1], key + "a", f" {key}", key.upper(), "cap_", "ü" * 50):
        assert not keys.is_key(text)


@pytest.mark.parametrize(
    ("auth", "host", "door", "asks"),
    [
        ("auto", "127.0.0.1", None, False),
        ("auto", "::1", "::1", False),
        ("auto", "localhost", "127.0.0.1", False),
        ("auto", "0.0.0.0", None, True),
        ("auto", "10.0.0.5", None, True),
        ("auto", "127.0.0.1", "0.0.0.0", True),  # gunicorn was told another address than we were
        ("auto", "127.0.0.1", "", True),  # it listens at a socket file
        ("required", "127.0.0.1", None, True),
        ("off", "0.0.0.0", "0.0.0.0", False),
    ],
)
def test_where_keys_are_asked_for(auth, host, door, asks) -> None:
    settings = Settings(auth=auth, host=host)

    assert doors.asks_for_keys(settings, door) is asks


def test_a_door_to_others_does_not_open_without_a_key(tmp_path: Path) -> None:
    public = {"data_dir": tmp_path, "host": "0.0.0.0"}
    no_tables = doors.why_not_open(Settings(**public))
    schema.upgrade(Settings(**public))
    no_key = doors.why_not_open(Settings(**public))

    assert no_tables is not None
    assert "captioner db upgrade" in no_tables
    assert no_key is not None
    assert "captioner keys create" in no_key
    for told in ({"auth": "off"}, {"auth": "required"}, {"api_key": "sixteen-characters"}):
        assert doors.why_not_open(Settings(**public, **told)) is None
    assert doors.why_not_open(Settings(data_dir=tmp_path / "none")) is None
    assert "DEBUG" in str(doors.why_not_open(Settings(**public, auth="off", debug=True)))

    database = Database(Settings(**public).database)
    with database.write() as session:
        row, _ = book.create(session, owner="a", scopes={Scope.READ})
    assert doors.why_not_open(Settings(**public)) is None
    with database.write() as session:
        book.revoke(session, row.prefix)
    assert doors.why_not_open(Settings(**public)) is not None
    database.close()


def commands_of(said: str | None) -> list[str]:
    """The commands that are named, each on a line of its own."""
    return [line.strip() for line in str(said).splitlines() if line.startswith("  ")]


def run(command: str, folder: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(
        ["bash", "-c", command], cwd=folder, env={**environment({}), "PATH": path}, check=True
    )


def test_a_door_to_others_opens_after_the_commands_that_it_names(tmp_path: Path) -> None:
    public = Settings(data_dir=tmp_path / "my data", host="0.0.0.0")
    upgrade, create = commands_of(doors.why_not_open(public))
    assert upgrade.endswith(" captioner db upgrade")
    run(upgrade, tmp_path)
    assert commands_of(doors.why_not_open(public)) == [create]
    run(create, tmp_path)
    assert doors.why_not_open(public) is None


def test_a_folder_is_named_only_where_it_tells_which_database_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    usual = Settings(data_dir=tmp_path / "captioner-data", host="0.0.0.0")
    named = Settings(data_dir=tmp_path / "a", database_url="sqlite:///x.db", host="0.0.0.0")
    for settings in (usual, named):
        assert commands_of(doors.why_not_open(settings))[0] == "captioner db upgrade"


def test_an_application_on_another_server_asks_at_another_address(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    schema.upgrade(settings)
    client = create_app(Services(settings)).test_client()

    here = client.get("/captionImage")
    there = client.get("/captionImage", environ_overrides={"SERVER_NAME": "0.0.0.0"})
    pretended = client.get(
        "/captionImage", environ_overrides={"REMOTE_ADDR": "", "SERVER_NAME": "localhost"}
    )

    assert (here.status_code, there.status_code, pretended.status_code) == (200, 401, 401)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("auth", "maybe"),
        ("api_key", "short"),
        ("api_key", "with a space in the middle"),
        ("rate_limit", "many"),
        ("rate_limit", "10/fortnight"),
        ("rate_window", "broken"),
        ("auth_failures", "-1/minute"),
        ("quota_images_per_day", -1),
        ("cors_origins", "*"),
        ("cors_origins", "https://app.example/"),
        ("cors_origins", "app.example"),
    ],
)
def test_settings_of_access_that_make_no_sense_are_refused(name, value) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings(**{name: value})


def test_an_ipv6_address_counts_with_its_network() -> None:
    assert network("2001:db8:1:2:3::4") == network("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert network("2001:db8:1:3::4") != network("2001:db8:1:2::4")
    assert network("192.0.2.1") == "192.0.2.1"
    assert network("2001:0DB8:1:2::4") == "2001:db8:1:2::/64"
    assert network("not an address") == "not an address"


def test_an_ipv4_caller_of_a_socket_for_both_counts_as_itself() -> None:
    assert network("::ffff:192.0.2.1") == network("192.0.2.1") == "192.0.2.1"
    assert network("::FFFF:c000:202") == "192.0.2.2"


def test_who_shows_no_key_counts_by_address_and_sees_nobodys_jobs() -> None:
    operator = Caller(OPERATOR, frozenset(Scope))

    assert NOBODY.account("192.0.2.1") == ANYBODY.account("192.0.2.1") == "ip:192.0.2.1"
    assert NOBODY.account("192.0.2.2") != NOBODY.account("192.0.2.1")
    assert operator.account("192.0.2.1") == operator.account("192.0.2.2") == "key:setting"
    assert NOBODY.sees is not None
    with pytest.raises(Forbidden):
        NOBODY.require(Scope.READ)
