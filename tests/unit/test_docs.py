"""The documentation says what the code does: a thing without a line in it fails here."""

import json
import re
from pathlib import Path

import click
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from api.app import create_app
from api.errors import HTTP_CODES, STATUS
from api.forms import StyleFields
from api.guard import MARK, OPEN
from api.openapi import document
from captioner import errors, metrics, schema
from captioner.agreement import RULES, Rule
from captioner.catalog import BUILT_IN
from captioner.database import Database
from captioner.services import Services
from captioner.settings import Settings
from captioner.styles import ALIASES, MEANINGS, Style
from captioner.traffic import Traffic
from cli.main import COMMANDS, main
from cli.outcome import CSV_HEADER
from cli.tally import Tally
from models import JobState, Scope
from scripts import docs_settings
from worker.engines.house import EngineHouse
from worker.meters import Meters
from worker.telling import Telling

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
METHODS = ("GET ", "POST ", "DELETE ")
ROUTES_OF_THE_DESCRIPTION = {"/docs", "/openapi.json"}


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def table_rows(page: str) -> dict[str, list[str]]:
    """First cell, without its backticks, to the other cells, for every table of a page."""
    rows = {}
    for line in text_of(page).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("| `"):
            rows[cells[0].strip("`")] = cells[1:]
    return rows


def error_classes() -> dict[str, type[errors.CaptionerError]]:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.CaptionerError)
    ]
    return {kind.code: kind for kind in kinds if kind.code != "internal_error"} | {
        "internal_error": errors.CaptionerError
    }


def test_the_table_of_settings_is_what_the_code_has() -> None:
    written = docs_settings.PAGE.read_text(encoding="utf-8")

    assert written == docs_settings.current(), "run: make docs"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.says[:24])
def test_a_rule_between_settings_is_documented(rule: Rule) -> None:
    _, _, rules = text_of("reference/settings.md").partition("held against others:")
    wanted = {f"`CAPTIONER_{name.upper()}`" for name in re.findall(r"{(\w+)}", rule.says)}

    assert [part for part in rules.partition("## ")[0].split("\n- ") if wanted <= names_in(part)]


@pytest.mark.parametrize("page", ["guides/http.md", "guides/jobs.md"])
def test_every_state_of_a_job_is_documented(page: str) -> None:
    assert set(JobState) <= set(table_rows(page))


def names_in(text: str) -> set[str]:
    return set(re.findall("`[A-Z_]+`", text))


def test_the_error_page_has_every_code_and_no_other() -> None:
    assert set(table_rows("reference/errors.md")) == set(error_classes())


@pytest.mark.parametrize("code", sorted(error_classes()))
def test_an_error_is_documented_with_its_status_and_title(code: str) -> None:
    status, title, what_to_do = table_rows("reference/errors.md")[code]

    assert int(status) == STATUS[code]
    assert title == error_classes()[code].title
    assert what_to_do


def test_the_codes_of_the_http_layer_are_documented() -> None:
    page = text_of("reference/errors.md")

    assert [code for code in HTTP_CODES.values() if f"`{code}`" not in page] == []


def test_every_route_is_documented_and_no_other() -> None:
    described = {
        f"{method.upper()} {path}"
        for path, item in document()["paths"].items()
        for method in item
        if method in ("get", "post", "put", "patch", "delete")
    }
    written = {row for row in table_rows("reference/routes.md") if row.startswith(METHODS)}

    assert {route for route in written if route.split()[1] not in ROUTES_OF_THE_DESCRIPTION} == {
        route for route in described if route.split()[1] not in ROUTES_OF_THE_DESCRIPTION
    }


@pytest.mark.parametrize("page", ["reference/routes.md", "guides/access.md"])
def test_which_routes_are_open_and_which_are_for_administrators_is_written(
    page: str, tmp_path: Path
) -> None:
    application = create_app(Services(Settings(data_dir=tmp_path)))
    marked: dict[object, set[str]] = {}
    for rule in application.url_map.iter_rules():
        mark = getattr(application.view_functions[rule.endpoint], MARK, None)
        path = re.sub(r"<[\w:]+>", "{}", rule.rule)
        marked.setdefault(mark, set()).add("/docs" if path.startswith("/docs") else path)

    written = re.sub(r"\{\w+\}", "{}", text_of(page).replace("\n", " "))
    (open_ones,) = re.findall(
        r"((?:`/[^`]*`(?:, | and ))+`/[^`]*`) (?:needs one|are open)", written
    )
    assert set(re.findall(r"`([^`]*)`", open_ones)) == marked[OPEN]
    assert [path for path in marked[Scope.ADMIN] if f"{path}`" not in written] == []


def test_every_metric_is_documented_with_its_labels_and_no_other(tmp_path: Path) -> None:
    names = {_shown(family): family for family in told_by_all(tmp_path)}
    written = table_rows("reference/metrics.md")
    of_worker = {name.replace("captioner_", "captioner_worker_", 1): name for name in written}
    shared = set(names) & set(of_worker)

    assert set(written) == set(names) - shared
    assert [name for name in shared if f"`{name}`" not in text_of("reference/metrics.md")] == []
    for name, family in names.items():
        labels = {label for sample in family.samples for label in sample.labels}
        row = written[of_worker.get(name, name)]
        assert all(f"`{label}`" in row[0] for label in labels)


def told_by_all(folder: Path) -> list[Metric]:
    """By the service, by an API and by a worker; of the last, nothing of its process."""
    settings = Settings(data_dir=folder)
    schema.upgrade(settings)
    database = Database(settings.database)
    traffic = Traffic()
    traffic.answered(route="/", method="GET", status=500, seconds=1, error="internal_error")
    traffic.accepted("scenes", 1)
    telling = Telling(settings, Meters(), EngineHouse(settings), lambda: 0)
    told = metrics.text(settings, database) + traffic.text()
    database.close()
    parsed = text_string_to_metric_families(told.decode())
    return [*parsed, *telling.families()]


def _shown(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def test_every_command_is_documented_and_no_other() -> None:
    assert set(table_rows("reference/commands.md")) == {f"captioner {name}" for name in COMMANDS}


@pytest.mark.parametrize("name", ["cache", "db", "jobs", "keys"])
def test_every_command_of_a_group_is_documented(name: str) -> None:
    group = main.get_command(click.Context(main), name)
    assert isinstance(group, click.Group)
    row = " ".join(table_rows("reference/commands.md")[f"captioner {name}"])

    assert [name for name in group.commands if f"`{name}`" not in row] == []


def test_the_options_and_columns_of_captioning_are_in_its_guide() -> None:
    guide, command = text_of("guides/folders.md"), main.get_command(click.Context(main), "caption")
    assert command is not None
    options = {max(option.opts, key=len) for option in command.params if option.opts[0][0] == "-"}

    assert [name for name in (*options, *CSV_HEADER) if f"`{name}" not in guide] == []


def test_the_readme_shows_what_the_demo_prints() -> None:
    shown = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    captions = json.loads((ROOT / "examples" / "captions.json").read_text(encoding="utf-8"))
    count = len(captions)
    told = Tally(found=count, captioned=count).summary()
    lines = [line.split(maxsplit=2) for line in shown if line.startswith("  right  ")]

    ready = next(number for number, line in enumerate(shown) if line.startswith("Ready at "))
    assert shown[ready + 1] == re.sub(r"\d+\.\d", "…", told)
    assert f"{count} of {count} captions are right." in shown
    assert {name: caption for _, name, caption in lines}.items() <= captions.items()


@pytest.mark.parametrize("entry", BUILT_IN, ids=lambda entry: entry.name)
def test_a_built_in_model_is_documented_with_its_license_memory_and_batch(entry) -> None:
    row = table_rows("reference/models.md")[entry.name]

    assert entry.license in row
    assert entry.memory in row
    assert str(entry.batch) in row


def test_every_style_is_documented_with_its_meaning_and_other_names_and_no_other() -> None:
    rows = table_rows("reference/styles.md")
    fields = {name for name in rows if name.startswith("style")}

    assert set(rows) - fields == set(Style)
    for style in Style:
        assert rows[style] == [MEANINGS[style], ", ".join(ALIASES[style])]
    assert fields == set(StyleFields.model_fields)
