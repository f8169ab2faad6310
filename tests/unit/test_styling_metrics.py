"""What a worker tells of its stylers on its own page."""

from pathlib import Path

import pytest

from captioner.settings import Settings
from worker.engines.house import EngineHouse
from worker.meters import Meters
from worker.telling import Telling


@pytest.fixture
def samples(tmp_path: Path) -> list:
    settings, meters = Settings(data_dir=tmp_path), Meters()
    meters.ran(settings.model, images=2, tokens=7, seconds={"encode": 0.5})
    meters.styled("gemini", None)
    meters.styled("gemini", "styler_blocked")
    for _ in range(3):
        meters.styler_called("gemini")
    meters.styling_took("gemini", 2.5)
    telling = Telling(settings, meters, EngineHouse(settings), lambda: 0)
    return [sample for family in telling.families() for sample in family.samples]


def test_images_calls_and_seconds_are_told_of_each_styler(samples: list) -> None:
    told = {(each.name, *each.labels.values()): each.value for each in samples}
    assert told["captioner_worker_styled_images_total", "gemini", "styled"] == 1
    assert told["captioner_worker_styled_images_total", "gemini", "blocked"] == 1
    assert told["captioner_worker_styled_images_total", "openai", "styled"] == 0
    assert told["captioner_worker_styler_calls_total", "gemini"] == 3
    assert told["captioner_worker_styler_seconds_total", "gemini"] == 2.5


def test_a_styler_is_no_model(samples: list, tmp_path: Path) -> None:
    models = {each.labels["model"] for each in samples if "model" in each.labels}
    assert models == set(Settings(data_dir=tmp_path).served_models)
