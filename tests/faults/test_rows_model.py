"""Row 33 of the fault matrix: the model cannot be fetched."""

import time
from pathlib import Path

import httpx

from tests.faults.bent_worker import REPOSITORY
from tests.faults.crew import LIVELY, Crew, bent, faultless
from tests.faults.drawn import Order
from tests.faults.stand import standing
from tests.hub import serving
from tests.processes import answers, free_port, until

JOBS = 20


def test_a_model_whose_hub_is_away_is_waited_for(tmp_path: Path, tell) -> None:
    """No job fails, `/readyz` says why, and the worker begins by itself."""
    folder, port = tmp_path / "model", free_port()
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"x")
    with standing(tmp_path, broker="redis", workers=1, settings=LIVELY) as stand:
        stand.settings["HF_HOME"] = str(tmp_path / "cache")
        bent(stand, {"worker-bent": ("--hub", f"http://127.0.0.1:{port}")})
        until(lambda: answers(f"{stand.base}/readyz", 503), what="503 without the model")
        crew = Crew(stand)
        for _ in range(JOBS):
            crew.post(Order.NONE)
        until(lambda: "hub cannot be asked" in httpx.get(f"{stand.base}/readyz", timeout=5).text,
              what="reason in /readyz")  # fmt: skip
        time.sleep(5)
        assert len(crew.open_jobs()) == JOBS
        with serving({REPOSITORY: folder}, port=port):
            seconds = crew.settle(timeout_s=90)
        verdict = crew.verdict()
        tell([crew.row("the model's hub is away", JOBS, seconds, verdict)])
        assert answers(f"{stand.base}/readyz")
        assert stand.fleet.surprises() == []
    assert faultless(verdict)
    assert verdict.extra_runs == 0
