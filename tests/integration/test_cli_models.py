"""`captioner models`: of the catalog, and of a server with other settings than the command's."""

import sys
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from captioner import settings
from cli.main import main
from tests import processes
from tests.stacks import Stack
from tests.terminal import screen


@pytest.fixture(scope="module")
def server(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an API whose default is `scenes`; that of the settings here is `blip`."""
    served = {"CAPTIONER_MODEL": "scenes", "CAPTIONER_MODELS": "blip,scenes"}
    folder = tmp_path_factory.mktemp("api")
    with processes.service({**stack.environment, **served}, folder, workers=0, ready=False) as base:
        yield base


def run(*arguments: str) -> Result:
    settings.load.cache_clear()
    return CliRunner().invoke(main, ["models", *arguments])


def named(listed: Result) -> list[tuple[str, ...]]:
    return [tuple(line.split("\t")[:2]) for line in listed.stdout.splitlines()]


def test_a_server_tells_its_models_and_its_default(server: str) -> None:
    assert named(run("--server", server)) == [("scenes", "default"), ("blip", "")]
    drawn = screen([sys.executable, "-m", "cli.main", "models", "--server", server])
    assert "scenes *" in drawn
    assert "blip *" not in drawn


def test_the_catalog_marks_the_default_of_the_settings_here() -> None:
    assert ("blip", "default") in named(run())
    assert ("scenes", "") in named(run())


def test_all_of_one_model_is_told_by_either(server: str) -> None:
    for where in ([], ["--server", server]):
        told = run("scenes", *where)
        assert told.exit_code == 0, told.output
        assert "name: scenes\n" in told.stdout
        assert "  num_beams: 1 to " in told.stdout


def test_a_model_that_a_server_does_not_serve_is_not_there(server: str) -> None:
    refused = run("gemma", "--server", server)
    assert refused.exit_code == 2
    assert "There is no model 'gemma'; there are scenes, blip." in refused.stderr
