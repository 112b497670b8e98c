"""The table of attacks is complete, names tests that exist, and agrees with docs/attacks.md."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.attacks.table import ATTACKS, ROWS, Attack, Covered, page

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.title)
def test_every_row_has_a_cell(attack: Attack) -> None:
    missing = []
    for row in ROWS:
        try:
            attack.cell_of(row)
        except LookupError as error:
            missing.append(str(error))
    assert missing == []


def test_every_test_exists() -> None:
    cells = [attack.cell_of(row) for attack in ATTACKS for row in ROWS]
    named = {test for cell in cells if isinstance(cell, Covered) for test in cell.tests}
    files = {test.partition("::")[0] for test in named}
    found = {f"{file}::{name}" for file in files for name in names_of_tests(ROOT / file)}
    assert named - found == set()


def names_of_tests(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_the_page_is_generated_from_the_table() -> None:
    """`make pages` writes the page."""
    assert (ROOT / "docs" / "attacks.md").read_text() == page()
