"""docs/planted-faults.md: the table of all planted faults, and the test that notices each."""

from __future__ import annotations

import difflib
from typing import Final

from tests.mutants.faults import ROOT, Fault, FaultList, fault_lists

PAGE: Final = ROOT / "docs" / "planted-faults.md"

INTRODUCTION: Final = """\
# Planted faults

Each row is a small fault in the code that breaks one promise, and the test that notices it. `make mutants` plants them
one at a time in a copy of the checkout and runs their tests; it fails when a fault is not noticed. Every run of
`.ci/run` plants a sample, another one for each commit. The lists are in `tests/mutants/`; this page is generated
from them by `python -m tests.mutants --write-table`.
"""


def page() -> str:
    return "\n".join([INTRODUCTION, *(_section(fault_list) for fault_list in fault_lists())])


def _section(fault_list: FaultList) -> str:
    rows = [_row(fault) for fault in fault_list.faults]
    return "\n".join(
        [
            f"## {fault_list.area.replace('-', ' ').capitalize()}",
            "",
            f"{fault_list.about} {len(fault_list.faults)} faults.",
            "",
            "| promise | file | fault | noticed by |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _row(fault: Fault) -> str:
    noticed_by = " ".join(f"`{test.removeprefix('tests/')}`" for test in fault.tests)
    last = noticed_by or f"No test can: {_escaped(fault.harmless)}"
    return f"| {_escaped(fault.promise)} | `{fault.file}` | {_change(fault)} | {last} |"


def _change(fault: Fault) -> str:
    """The lines that differ; a line end is shown as ⏎."""
    lines = list(difflib.ndiff(fault.old.splitlines(), fault.new.splitlines()))
    before = _code([line[2:] for line in lines if line.startswith("- ")])
    after = _code([line[2:] for line in lines if line.startswith("+ ")])
    if before and after:
        return f"{before} → {after}"
    return f"without {before}" if before else f"with {after}"


def _escaped(text: str) -> str:
    """For a cell of a Markdown table: a `|` would end the cell, also in code."""
    return text.replace("|", "\\|")


def _code(lines: list[str]) -> str:
    text = _escaped(" ⏎ ".join(line.strip() for line in lines if line.strip()))
    if not text:
        return ""
    fence = "``" if "`" in text else "`"
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"
