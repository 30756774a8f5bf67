"""docs/faults.md names tests that exist, and says nothing without one."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
ROWS = [
    line
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| what ") and "---" not in line
]


@cache
def functions_of(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def test_the_page_has_rows_to_check() -> None:
    assert len(ROWS) > 50
    assert len(NAMED) > 90


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_test_that_the_page_names_exists(path: str, name: str) -> None:
    assert (ROOT / path).is_file(), f"{path} is gone; name another test in docs/faults.md"
    assert name in functions_of(ROOT / path), f"{path} has no {name}; correct docs/faults.md"


def test_every_row_names_a_test() -> None:
    assert [row for row in ROWS if "::test_" not in row] == []
