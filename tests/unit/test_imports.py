"""What a process must not load: the API no torch, the worker no flask, Flower no torch."""

import subprocess
import sys

import pytest


def loaded_after(code: str) -> set[str]:
    script = f"{code}\nimport sys; print(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("from api.app import create_app; create_app()", {"torch", "transformers", "worker"}),
        ("import worker.pipeline", {"flask", "api", "torch", "transformers"}),
        ("import worker.app, worker.tasks", {"torch", "transformers", "flask", "api"}),
        ("import captioner.services", {"torch", "transformers", "flask", "worker", "api"}),
        ("import models", {"captioner", "flask", "celery", "torch"}),
    ],
)
def test_a_part_loads_only_what_it_may(code: str, forbidden: set[str]) -> None:
    assert not loaded_after(code) & forbidden


def test_building_the_application_opens_no_connection_and_starts_no_thread() -> None:
    code = (
        "import socket, threading\n"
        "def refuse(*a): raise AssertionError('a connection was opened')\n"
        "socket.socket.connect = refuse\n"
        "from api.app import create_app; create_app()\n"
        "assert threading.active_count() == 1, threading.enumerate()"
    )
    loaded_after(code)
