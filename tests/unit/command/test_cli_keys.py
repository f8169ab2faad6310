"""`captioner keys`, on a SQLite file. Needs nothing running."""

import json

import pytest
from click.testing import CliRunner

from captioner.access import keys as forms
from captioner.settings import load
from cli.main import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPTIONER_DATA_DIR", str(tmp_path))
    load.cache_clear()
    assert CliRunner().invoke(main, ["db", "upgrade"]).exit_code == 0
    yield tmp_path
    load.cache_clear()


def keys(*arguments: str):
    return CliRunner().invoke(main, ["keys", *arguments])


def made(*more: str) -> str:
    result = keys("create", "--owner", "alice", "--scope", "read", *more)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def test_a_key_is_printed_alone_and_only_its_digest_is_kept(folder) -> None:
    key = made("--note", "her laptop")

    assert forms.is_key(key)
    stored = b"".join(path.read_bytes() for path in folder.glob("captioner.db*"))
    assert forms.prefix_of(key).encode() in stored
    assert forms.digest(key).encode() in stored
    assert key.encode() not in stored
    assert key[12:].encode() not in stored


def test_the_list_has_each_key_with_its_state(folder) -> None:
    first, second = made("--expires", "90d"), made("--scope", "admin", "--scope", "submit")
    assert keys("revoke", first).exit_code == 0

    one, two = (json.loads(line) for line in keys("list", "--json").stdout.splitlines())

    assert (one["prefix"], one["state"]) == (forms.prefix_of(first), "revoked")
    assert (two["state"], two["scopes"]) == ("active", ["submit", "read", "admin"])
    assert two["expires_at"] is None
    assert two["last_used_at"] is None
    assert forms.prefix_of(second) in keys("list", "--owner", "alice").stdout
    assert keys("list", "--owner", "bob").stdout == ""


def test_what_cannot_be_is_refused_in_a_line(folder) -> None:
    for arguments in (
        ["--owner", "a b", "--scope", "read"],
        ["--owner", "a", "--scope", "read", "--expires", "2001-01-01"],
        ["--owner", "a", "--scope", "read", "--expires", "soon"],
        ["--owner", "a", "--scope", "root"],
        ["--owner", "a"],
    ):
        result = keys("create", *arguments)
        assert result.exit_code != 0
        assert "Traceback" not in result.output
    assert keys("list").stdout == ""


def test_revoking_what_is_not_there_says_so(folder) -> None:
    result = keys("revoke", "cap_nobodys0")

    assert result.exit_code == 1
    assert "there is no such key" in result.stderr
