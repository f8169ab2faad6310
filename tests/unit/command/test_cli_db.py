"""`captioner db` and `captioner models`, on a SQLite file. Needs nothing running."""

import pytest
from click.testing import CliRunner

from captioner import schema
from captioner.settings import Settings, load
from cli.main import main


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    folder = tmp_path / "50% new"
    monkeypatch.setenv("CAPTIONER_DATA_DIR", str(folder))
    load.cache_clear()
    yield folder
    load.cache_clear()


def db(*arguments: str):
    return CliRunner().invoke(main, ["db", *arguments])


def test_the_database_goes_up_and_down_and_says_where_it_is(data_dir):
    assert "no tables yet" in db("current").stdout
    assert not data_dir.exists()
    up = db("upgrade")
    assert up.exit_code == 0, up.output
    revision = schema.current(load())
    assert revision
    assert up.stdout == f"The database is at {revision} (was empty).\n"
    assert db("current").stdout == f"{revision}\n"
    assert "was there already" in db("upgrade").stdout
    assert db("downgrade", "base").exit_code == 0
    assert schema.current(load()) is None


def test_an_unknown_revision_is_one_line(data_dir):
    result = db("upgrade", "--revision", "nonsense")
    assert result.exit_code == 2
    assert "nonsense" in result.stderr
    assert "Traceback" not in result.output


def test_a_percent_sign_in_the_address_survives_alembic():
    url = "postgresql+psycopg://me:p%40ss@db/captions"
    config = schema.alembic_config(Settings(database_url=url))
    assert config.get_main_option("sqlalchemy.url") == url


def test_a_database_that_is_away_is_one_line_without_its_password(monkeypatch):
    url = "postgresql+psycopg://me:secret@127.0.0.1:1/captions"
    monkeypatch.setenv("CAPTIONER_DATABASE_URL", url)
    load.cache_clear()
    try:
        result = db("current")
    finally:
        load.cache_clear()
    assert result.exit_code == 1
    assert "does not answer" in result.stderr
    assert "secret" not in result.stderr


def test_models_are_listed_one_a_line(data_dir):
    result = CliRunner().invoke(main, ["models"])
    assert result.exit_code == 0, result.output
    names = [line.split("\t")[0] for line in result.stdout.splitlines()]
    assert load().model in names
