"""The page of faults has every row of the matrix, and each test that it names is there."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
PAGE = TESTS.parent / "docs" / "reference" / "faults.md"
ROW = re.compile(r"^\| (A?\d+) \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)
ROWS = {row: cells for row, *cells in ROW.findall(PAGE.read_text(encoding="utf-8"))}
EXPECTED = {str(n) for n in range(1, 41)} | {f"A{n}" for n in (*range(21, 30), 34)}


def functions_of(path: Path) -> set[str]:
    """The names of its test functions, read and not run."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_row_is_there_and_no_other() -> None:
    assert set(ROWS) == EXPECTED


@pytest.mark.parametrize("row", sorted(ROWS))
def test_a_row_names_tests_that_exist(row: str) -> None:
    fault, promise, shown_by = ROWS[row]
    named = [name.split("::") for name in re.findall(r"`([^`]+)`", shown_by)]

    assert fault
    assert promise
    assert named
    for path, name in named:
        assert name.startswith("test_")
        assert name in functions_of(TESTS / path), f"{path}::{name}"
