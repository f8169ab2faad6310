"""What `captioner worker` is told reaches Celery and the engines."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from captioner import settings
from cli.environment import configure
from cli.worker import worker, worker_arguments
from tests.processes import environment

ASKED = ["--models", "blip,gemma", "--device", "cuda:0", "--concurrency", "40"]


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("CAPTIONER_MODELS", "CAPTIONER_DEVICE", "CAPTIONER_WORKER_CONCURRENCY"):
        monkeypatch.setenv(name, "")  # so that what `configure` sets is undone afterwards
        monkeypatch.delenv(name)
    yield
    settings.load.cache_clear()


@pytest.mark.usefixtures("clean_environment")
def test_models_and_device_become_settings_and_queues() -> None:
    given = worker.make_context("worker", list(ASKED)).params
    assert (given["per_gpu"], given["gpus"], given["tied"]) == (False, None, False)
    configured = configure(
        models=given["models"], device=given["device"], worker_concurrency=given["concurrency"]
    )
    assert configured.served_models == ("blip", "gemma")
    assert configured.device == "cuda:0"
    arguments = worker_arguments(configured)
    assert "--queues=caption.blip,caption.gemma,captioner.webhooks,captioner.styles" in arguments
    assert "--concurrency=40" in arguments


def test_a_worker_for_an_unknown_model_is_refused_at_once(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "cli.main", "worker", "--models", "scenes,nosuch"],
        env=environment({"CAPTIONER_DATA_DIR": str(tmp_path)}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: There is no model named 'nosuch'. Known: blip, ")


def test_a_worker_for_a_gpu_that_is_not_there_says_so_and_ends(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "cli.main", "worker", *ASKED],
        env=environment({"CAPTIONER_DATA_DIR": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    said = done.stderr + done.stdout
    assert said.count("CAPTIONER_DEVICE='cuda:0', but this process sees no GPU.") == 1
    assert "Traceback" not in said
