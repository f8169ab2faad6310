"""The page of abuse has every row of the matrix, and each test that it names is there."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
PAGE = TESTS.parent / "docs" / "reference" / "abuse.md"
ROW = re.compile(r"^\| (\d+) \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)
ROWS = {int(row): cells for row, *cells in ROW.findall(PAGE.read_text(encoding="utf-8"))}


def functions_of(path: Path) -> set[str]:
    """The names of its test functions, read and not run."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_row_is_there_and_no_other() -> None:
    assert set(ROWS) == set(range(1, 38))


@pytest.mark.parametrize("row", sorted(ROWS))
def test_a_row_names_tests_that_exist(row: int) -> None:
    abuse, promise, shown_by = ROWS[row]
    named = [name.split("::") for name in re.findall(r"`([^`]+)`", shown_by)]

    assert abuse
    assert promise
    assert named
    for path, name in named:
        assert name.startswith("test_")
        assert name in functions_of(TESTS / path), f"{path}::{name}"
