"""The command's root: what it imports, teaches, and how it shows errors. Needs nothing running."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import httpx
import pytest
from click.testing import CliRunner

from captioner.errors import DatabaseUnavailable, InvalidRequest
from cli.lazy import LazyCommand, LazyGroup
from cli.main import COMMANDS, main

ROOT = Path(__file__).parents[3]
HEAVY = {"torch", "transformers", "flask", "celery", "sqlalchemy", "httpx"}


def modules_after(*arguments: str) -> set[str]:
    """Names in sys.modules once the command has run, in a process of its own."""
    program = (
        "import json, sys\n"
        "from cli.main import main\n"
        f"main({list(arguments)!r}, standalone_mode=False)\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stderr))


@pytest.mark.parametrize("arguments", [("--help",), ("caption", "--help")])
def test_help_imports_nothing_heavy(arguments):
    assert not modules_after(*arguments) & HEAVY


def test_captioning_needs_neither_torch_nor_flask_nor_celery(tmp_path):
    loaded = modules_after_captioning(tmp_path)
    assert "httpx" in loaded
    assert not loaded & (HEAVY - {"httpx"})


def modules_after_captioning(folder: Path) -> set[str]:
    program = (
        "import json, sys\n"
        "from cli.main import main\n"
        "try:\n"
        f"    main(['caption', {str(folder)!r}])\n"
        "except SystemExit:\n"
        "    print(json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout))


def test_help_teaches_the_first_steps():
    text = CliRunner().invoke(main, ["--help"]).stdout
    assert text.index("captioner up") < text.index("captioner caption photo.jpg")
    for name, command in COMMANDS.items():
        assert f"  {name}" in text
        assert command.summary in text


def test_every_command_that_is_registered_is_there_and_has_help():
    for name in ("caption", "models", "db"):
        result = CliRunner().invoke(main, [name, "--help"])
        assert result.exit_code == 0, result.output


def test_version_is_one_line():
    result = CliRunner().invoke(main, ["--version"])
    assert result.exit_code == 0
    assert result.stdout.startswith("captioner ")


def test_an_unknown_command_exits_2():
    assert CliRunner().invoke(main, ["capton"]).exit_code == 2


def raising(error: BaseException) -> LazyGroup:
    group = LazyGroup("captioner")

    @group.command()
    def work() -> None:
        raise error

    return group


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DatabaseUnavailable("The database is\u202e away."), 1, "The database is\\u202e away."),
        (InvalidRequest("That is no number."), 2, "That is no number."),
        (httpx.ConnectError("refused"), 1, "The server cannot be reached: refused"),
    ],
)
def test_an_expected_error_is_one_line_and_an_exit_code(error, code, line):
    result = CliRunner().invoke(raising(error), ["work"])
    assert (result.exit_code, result.stderr) == (code, f"Error: {line}\n")


def test_an_unexpected_error_keeps_its_traceback():
    result = CliRunner().invoke(raising(KeyError("x")), ["work"])
    assert isinstance(result.exception, KeyError)


def test_ctrl_c_exits_130():
    assert CliRunner().invoke(raising(KeyboardInterrupt()), ["work"]).exit_code == 130


def test_a_missing_extra_is_named():
    group = LazyGroup("captioner", lazy={"w": LazyCommand("no_such_package.w:w", "x")})
    result = CliRunner().invoke(group, ["w"])
    assert result.exit_code == 1
    assert "'no_such_package'" in result.stderr


def test_a_setting_without_sense_is_named_with_its_value(monkeypatch, tmp_path):
    from captioner.settings import Settings

    @click.command()
    def work() -> None:
        Settings()

    group = LazyGroup("captioner")
    group.add_command(work)
    monkeypatch.setenv("CAPTIONER_PORT", "99999")
    result = CliRunner().invoke(group, ["work"])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: CAPTIONER_PORT=99999: ")
