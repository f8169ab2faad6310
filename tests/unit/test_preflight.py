"""What `captioner up` refuses before anything runs."""

import socket
import subprocess
import sys
import threading
from pathlib import Path

import click
import pytest

from captioner.settings import Settings
from cli import preflight
from tests.processes import environment


def test_a_taken_port_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(click.ClickException, match=f"Port {port} .* is taken.*--port"):
            preflight.refuse_taken_port("127.0.0.1", port, option="--port")
    preflight.refuse_taken_port("127.0.0.1", port, option="--port")


def test_a_port_that_is_taken_for_a_moment_longer_is_waited_for() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        threading.Timer(0.3, taken.close).start()
        preflight.refuse_taken_port("127.0.0.1", port, option="--port", patience_s=10)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(click.ClickException, match="not an address of this machine"):
        preflight.refuse_taken_port("192.0.2.1", 0, option="--port")


def test_an_unknown_model_is_refused_by_name() -> None:
    with pytest.raises(click.ClickException, match=r"no model named 'nope'.*blip"):
        preflight.refuse_unknown_models(Settings(model="nope"))


def test_a_default_model_that_is_not_served_is_refused() -> None:
    with pytest.raises(click.ClickException, match="'blip' is not among"):
        preflight.refuse_unserved_default(Settings(model="blip", models=("scenes",)))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"device": "cuda:63"}, "CAPTIONER_DEVICE='cuda:63', but this process sees no GPU."),
        ({"dtype": "int8", "engine": "torch"}, "CAPTIONER_DTYPE=int8 needs OpenVINO"),
        ({"model_revision": "nope=v2"}, "CAPTIONER_MODEL_REVISION='nope=v2'"),
    ],
)
def test_what_every_worker_would_end_for_is_said_once_before_any_part_is_started(
    tmp_path: Path, given: dict[str, str], said: str
) -> None:
    told = {f"CAPTIONER_{name.upper()}": value for name, value in given.items()}
    folder = tmp_path / "data"
    done = subprocess.run(
        [sys.executable, "-P", "-m", "cli.main", "up", f"--data-dir={folder}"],
        env=environment({**told, "CAPTIONER_MODELS": "blip", "CUDA_VISIBLE_DEVICES": ""}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {said}")
    assert done.stderr.count("\n") == 1
    assert not folder.exists()


def test_a_device_that_is_chosen_by_itself_is_left_to_the_workers() -> None:
    preflight.refuse_unusable_device(Settings(device="auto"))
    preflight.refuse_unusable_device(Settings(device="cpu", dtype="bfloat16"))


@pytest.mark.parametrize(
    ("host", "near"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("example.org", False),
    ],
)
def test_only_loopback_needs_no_warning(host: str, near: bool) -> None:
    assert preflight.is_loopback(host) is near
