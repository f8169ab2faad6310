"""What commands take from the environment, and what they say of variables that nobody reads."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from captioner.setting_names import all_variables
from captioner.settings import Settings, load
from cli import environment
from cli.environment import NO_SETTINGS, OF_TESTS, configure
from tests.processes import ROOT
from tests.processes import environment as of_a_process

FOLDERS = (
    "api", "benchmarks", "captioner", "cli", "deploy", "migrations", "models", "scripts", "worker",
)  # fmt: skip
TEXTS = (".py", ".sh", ".yml")
FILES = ("Makefile", "docker-compose.yml", ".env.example", "Dockerfile.api", "Dockerfile.worker")


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in os.environ if name.startswith("CAPTIONER_")]:
        monkeypatch.delenv(name)
    load.cache_clear()
    yield
    load.cache_clear()


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("CAPTIONER_MAX_BACH", "; did you mean CAPTIONER_MAX_BATCH?"),
        ("captioner_max_bach", "; did you mean CAPTIONER_MAX_BATCH?"),
        ("CAPTIONER_GOOGLE_API_KEY", "; did you mean GOOGLE_API_KEY?"),
        ("CAPTIONER_SERVR", "; did you mean CAPTIONER_SERVER?"),
        ("CAPTIONER_FOO", "."),
    ],
)
def test_a_variable_that_is_no_setting_is_told_once_without_its_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, said: str
) -> None:
    monkeypatch.setenv(variable, "hunter2")

    configure()
    configure()

    assert capsys.readouterr().err == f"Warning: {variable} is no setting{said}\n"


def test_a_child_is_not_told_of_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPTIONER_MAX_BACH", "4")

    configure()

    assert "CAPTIONER_MAX_BACH" not in environment.seeing("0")


@pytest.mark.parametrize(
    "variable",
    [
        "captioner_max_images", "CAPTIONER_KEY", "CAPTIONER_GPU", "CAPTIONER_TEST_STACKS",
        "OTEL_EXPORTER_OTLP_ENDPOINT", "CAPTIONERS",
    ],
)  # fmt: skip
def test_nothing_is_said_of_a_variable_that_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1" if "OTEL" in variable else "12")

    configure()

    assert capsys.readouterr().err == ""
    assert variable in os.environ


@pytest.mark.parametrize(
    "words", [("models",), ("keys", "list"), ("db", "current"), ("cache", "purge")]
)
def test_every_command_that_reads_settings_warns(tmp_path: Path, words: tuple[str, ...]) -> None:
    told = {
        "CAPTIONER_DATA_DIR": str(tmp_path),
        "CAPTIONER_REDIS_URL": "redis://127.0.0.1:1/0",
        "CAPTIONER_MAX_BACH": "4",
    }
    done = subprocess.run(
        [sys.executable, "-P", "-m", "cli.main", *words],
        env=of_a_process(told),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr.count("CAPTIONER_MAX_BACH is no setting") == 1, done.stderr


def test_every_variable_that_the_project_reads_is_known() -> None:
    files = [path for name in FOLDERS for path in (ROOT / name).rglob("*") if path.suffix in TEXTS]
    texts = [path.read_text() for path in (*files, *(ROOT / name for name in FILES))]
    read = {name for text in texts for name in re.findall(r"\bCAPTIONER_[A-Z0-9_]+\b", text)}

    assert {name for name in read if not name.startswith(OF_TESTS)} <= (
        all_variables(Settings) | NO_SETTINGS
    )
