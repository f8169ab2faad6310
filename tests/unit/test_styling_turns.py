"""What a worker says where its own styler has less time than its model may wait for its turn."""

import logging
from pathlib import Path

import pytest

from captioner.settings import Settings
from worker.runtime import Runtime

CHAT = {"chat": "vllm:http://127.0.0.1:9"}


def warnings(caplog: pytest.LogCaptureFixture, folder: Path, **given: object) -> list[str]:
    """Of a worker that is built."""
    usual = {"models": ("scenes", "chat"), "model": "scenes", "model_sources": CHAT}
    settings = Settings(data_dir=folder, device="cpu", **{**usual, **given})
    with caplog.at_level(logging.WARNING):
        Runtime(settings, name="worker")
    return [line for line in caplog.messages if "the styler 'local'" in line]


def test_a_styler_whose_model_may_wait_too_long_is_told_once(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (said,) = warnings(caplog, tmp_path, model_capacity=1)

    for told in ("CAPTIONER_STYLE_TIMEOUT_S=15 ", "CAPTIONER_MODEL_TURN_S=30,", "'chat'"):
        assert told in said


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"model_capacity": 2},
        {"model_capacity": 1, "style_timeout_s": 45},
        {"model_capacity": 1, "model_turn_s": 5},
        {"model_capacity": 1, "models": ("scenes", "blip")},
    ],
    ids=str,
)
def test_nothing_is_said_where_it_need_not_wait_or_has_the_time_or_is_not_there(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, given: dict[str, object]
) -> None:
    assert warnings(caplog, tmp_path, **given) == []
