"""Commands beside a `captioner up` use its Valkey server, which has a socket in the data folder."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from captioner import settings
from captioner.addresses import for_people
from cli import data_folder, parts, valkey
from cli.data_folder import DataFolder
from cli.environment import configure
from tests.processes import environment, free_port, running, until

COMMAND = [sys.executable, "-P", "-m", "cli.main"]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[DataFolder]:
    """A data folder in which such a server runs."""
    made = data_folder.prepare(tmp_path / "data")
    server, *_ = parts.programs(valkey_conf=valkey.write_conf(made), workers=1, flower_port=None)
    with running(server.command, {}, log=tmp_path / "valkey.log"):
        until(made.valkey_socket.exists, what="socket")
        yield made
    made.tidy()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Sets the environment, which is as before afterwards, whatever the command puts there."""
    for name in os.environ:
        if name.startswith("CAPTIONER_"):
            monkeypatch.delenv(name)
    for name in ("CAPTIONER_REDIS_URL", "CAPTIONER_BROKER_URL", "CAPTIONER_DATA_DIR"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    yield monkeypatch
    settings.load.cache_clear()


def told(folder: Path) -> settings.Settings:
    return valkey.use_running(configure(data_dir=folder))


def client(folder: DataFolder) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(folder.valkey_socket))


def test_what_is_not_named_is_the_server_that_runs_in_the_data_folder(folder, names) -> None:
    found = told(folder.root)
    assert found.redis_url == f"unix://{folder.valkey_socket}?db=0"
    assert found.broker == f"redis+socket://{folder.valkey_socket}?virtual_host=0"
    assert os.environ["CAPTIONER_REDIS_URL"] == found.redis_url  # its children are told too


def test_a_broker_that_is_named_stays(folder, names) -> None:
    names.setenv("CAPTIONER_BROKER_URL", "amqp://localhost//")
    assert told(folder.root).broker == "amqp://localhost//"


def test_a_redis_that_is_named_is_used_for_both(folder, names) -> None:
    names.setenv("CAPTIONER_REDIS_URL", "redis://127.0.0.1:1/9")
    found = told(folder.root)
    assert found.redis_url == found.broker == "redis://127.0.0.1:1/9"


def test_a_folder_in_which_nothing_runs_changes_nothing(tmp_path, names) -> None:
    usual = settings.Settings().redis_url
    assert told(tmp_path / "none").redis_url == usual
    assert not (tmp_path / "none").exists()
    prepared = data_folder.prepare(tmp_path / "data")
    prepared.valkey_socket.touch()  # of a server that was killed
    assert told(prepared.root).redis_url == usual
    prepared.tidy()


def test_captions_of_that_server_are_forgotten_and_it_is_named(folder) -> None:
    with client(folder) as there:
        there.hset("cap:caption:x", "blip:y", "[]")
        done = subprocess.run(
            [*COMMAND, "cache", "purge"],
            env=environment({"CAPTIONER_DATA_DIR": str(folder.root)}),
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == (f"1 captions are forgotten, in unix://{folder.valkey_socket}?db=0\n")
        assert there.keys() == []


@pytest.mark.parametrize("command", ["worker", "flower"])
def test_a_part_that_is_started_by_itself_joins_that_server(folder, command, tmp_path) -> None:
    options = {"worker": ["--models=scenes"], "flower": [f"--port={free_port()}"]}[command]
    told = {"CAPTIONER_DATA_DIR": str(folder.root), "CAPTIONER_MODEL": "scenes"}
    log = tmp_path / "log"
    with client(folder) as there, running([*COMMAND, command, *options], told, log=log, grace_s=1):
        until(lambda: len(there.client_list()) > 1, what=f"{command} at the server")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("rediss://me:se/cr@et@host:1/2?password=x", "rediss://host:1/2"),
        ("unix://:secret@/run/v.sock?db=3&password=x", "unix:///run/v.sock?db=3"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert for_people(url) == shown
