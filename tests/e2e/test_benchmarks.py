"""Benchmarks in their short form: every line of them runs, and what they compare is the same."""

import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.__main__ import BENCHMARKS
from tests.few_packages import python_with
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
    for server in ("LitServe, generate", "LitServe, ours", "captioner"):
        assert f"\n{server}, float32 " in said
    assert "captions that are the same from all in float32: 100.0%" in said


def test_the_model_is_loaded_once_and_what_each_part_holds_is_told() -> None:
    said = run("memory")
    assert "loads of the model in the worker's process: 1\n" in said
    for part in ("api", "worker", "decoders"):
        (row,) = (line for line in said.splitlines() if line.startswith(f"{part} "))
        assert float(row.split()[1]) > 10


def test_the_benchmark_of_a_gpu_runs_where_only_torch_and_its_company_are_installed(
    tmp_path: Path,
) -> None:
    python, env = python_with(("torch", "transformers", "numpy", "pillow"), tmp_path)
    env["PYTHONPATH"] += f":{ROOT}"

    def said(*module: str) -> str:
        done = subprocess.run(
            [*python, "-m", "benchmarks", *module],
            cwd=ROOT,
            env=environment(env),
            capture_output=True,
            text=True,
            timeout=400,
        )
        return done.stdout + done.stderr

    assert "No module named 'sqlalchemy'" in said("queue")  # so the rest is really away
    told = said("gpu", "--short", "--device=cpu", "--profile")
    assert "float32 equals generate on 24 scenes: True" in told, told
    for row in ("generate, batch 2", "ours, batch 4", "ours, batch 2, 2 side by side"):
        assert f"\n{row} " in told, told
    for dtype in ("float32", "bfloat16", "float16"):
        assert f"\n{dtype}: " in told, told


def test_without_a_gpu_the_benchmark_of_a_gpu_says_so() -> None:
    assert torch.cuda.is_available() or run("gpu") == (
        "There is no GPU here: nothing was measured.\n"
    )


def test_each_benchmark_is_told_of_and_none_begins_when_help_is_asked_for() -> None:
    said = run("engine", "--help")
    assert "seconds per picture" not in said
    for name in BENCHMARKS:
        assert f"\n  {name} " in said
