"""An API whose main process was killed: what is left of it stands in nobody's way."""

import threading
from pathlib import Path

import httpx

from captioner import schema
from tests import processes
from tests.integration.conftest import settings_of
from tests.pictures import plain
from tests.stacks import Stack

AT_ONCE_S = 10.0
"""Far below the 20 s that a process of the API may take to answer what it has begun."""


def test_an_api_started_after_a_kill_gets_its_port_though_a_call_still_waits(
    tmp_path: Path,
) -> None:
    port = processes.free_port()
    environment = {
        "CAPTIONER_DATA_DIR": str(tmp_path),
        "CAPTIONER_REDIS_URL": "redis://127.0.0.1:1/0",
        "CAPTIONER_MODEL": "scenes",
        "CAPTIONER_PORT": str(port),
    }
    schema.upgrade(settings_of(Stack("own", environment)))
    base, command = f"http://127.0.0.1:{port}", [processes.CAPTIONER, "api"]
    with processes.running(command, environment, log=tmp_path / "first.log") as first:
        processes.until(lambda: processes.answers(f"{base}/healthz"), what="API")
        waiting = threading.Thread(target=_wait_for_a_caption, args=(base,))
        waiting.start()
        processes.until(
            lambda: httpx.get(f"{base}/captionImage").json() != [], what="job", timeout_s=10
        )
        first.kill()
        first.wait()
        log = tmp_path / "second.log"
        with processes.running(command, environment, log=log) as second:
            processes.until(
                lambda: "Listening at" in log.read_text() or second.poll() is not None,
                what="API after the kill",
                timeout_s=AT_ONCE_S,
            )
            assert second.poll() is None, log.read_text()
            processes.until(lambda: processes.answers(f"{base}/healthz"), what="answer")
        waiting.join(timeout=30)


def _wait_for_a_caption(base: str) -> None:
    with httpx.Client(base_url=base, timeout=60) as http:
        try:
            http.post("/captionImageBlocking?timeout=50", files={"images": plain()})
        except httpx.TransportError:
            return
