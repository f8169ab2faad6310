"""How many series there are, with every model of the catalog served and at work."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from captioner import figures, metrics, schema
from captioner.catalog import BUILT_IN
from captioner.database import Database
from captioner.figures import SECONDS, SIZES, STAGES
from captioner.settings import Settings
from captioner.traffic import Traffic

NAMES = [entry.name for entry in BUILT_IN]
GONE = ("gone-1", "gone-2")
"""Models that are not served: one label together."""
AT_REST, AT_WORK, OF_AN_API, BESIDES = 14, 81, 2, 80


@pytest.fixture
def database(tmp_path: Path) -> Database:
    settings = Settings(data_dir=tmp_path, model=NAMES[0], models=tuple(NAMES))
    schema.upgrade(settings)
    return Database(settings.database)


def told(database: Database, tmp_path: Path) -> dict[str, int]:
    """How many series each model has, and how many there are of none."""
    settings = Settings(data_dir=tmp_path, model=NAMES[0], models=tuple(NAMES))
    traffic = Traffic()
    for name in NAMES:
        traffic.accepted(name, 1)
    text = metrics.text(settings, database).decode() + traffic.text().decode()
    found: dict[str, int] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            model = sample.labels.get("model", "")
            found[model] = found.get(model, 0) + 1
    return found


def work(database: Database, model: str, *, stages: tuple[str, ...] = STAGES) -> None:
    """Every sum that there can be of a model."""
    names = [figures.batches_up_to(size) for size in (*SIZES, SIZES[-1] + 1)]
    names += [figures.times_up_to(s, at) for s in stages for at in (*SECONDS, SECONDS[-1] + 1)]
    names += [figures.seconds_of(stage) for stage in stages]
    names += [figures.ended(how) for how in figures.ENDINGS]
    names += ["images", "tokens", "loads", "evictions"]
    with database.write() as session:
        figures.add(session, {(name, model): 1.0 for name in names})


def test_a_model_that_has_done_nothing_has_few_series(database: Database, tmp_path: Path) -> None:
    found = told(database, tmp_path)

    assert {found[name] for name in NAMES} == {AT_REST + OF_AN_API}
    assert found[""] <= BESIDES


def test_a_model_at_work_has_no_more_than_the_page_says(database: Database, tmp_path: Path) -> None:
    for name in (*NAMES, *GONE):
        work(database, name)

    found = told(database, tmp_path)

    assert set(found) == {*NAMES, "other", ""}
    assert {found[name] for name in NAMES} == {AT_WORK + OF_AN_API}
    assert found["other"] <= AT_WORK
    assert found[""] <= BESIDES
    page = (Path(__file__).parents[2] / "docs/reference/metrics.md").read_text("utf-8")
    assert f"has {AT_REST} series" in page
    assert f"{AT_WORK - AT_REST} more where it has worked" in page


def test_an_engine_that_does_not_tell_encoding_apart_has_fewer(
    database: Database, tmp_path: Path
) -> None:
    work(database, "gemma", stages=("decode", "wait", "generate"))

    assert told(database, tmp_path)["gemma"] == AT_WORK - len(SECONDS) - 3 + OF_AN_API
