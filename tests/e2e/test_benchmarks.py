"""Benchmarks in their short form: every line of them runs, and what they compare is the same."""

import subprocess
import sys

from tests.processes import ROOT, environment


def run(name: str, *options: str) -> str:
    """What a benchmark printed."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "benchmarks", name, "--short", *options],
        cwd=ROOT,
        env=environment({"PYTHONPATH": str(ROOT)}),
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_litserve_and_ours_answer_the_same_load_with_the_same_captions() -> None:
    said = run("litserve")
    for server in ("LitServe, generate", "LitServe, our engine", "captioner"):
        assert f"\n{server} " in said
    assert "captions that are the same from all: 100.0%" in said


def test_the_model_is_loaded_once_and_what_each_part_holds_is_told() -> None:
    said = run("memory")
    assert "loads of the model in the worker's process: 1\n" in said
    for part in ("api", "worker", "decoders"):
        (row,) = (line for line in said.splitlines() if line.startswith(f"{part} "))
        assert float(row.split()[1]) > 10
