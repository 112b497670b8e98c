"""docs/planted-faults.md: the table of all planted faults, and the test that notices each."""

from __future__ import annotations

import difflib
from typing import Final

from tests.mutants.faults import ROOT, Fault, FaultList, kept_lists

PAGE: Final = ROOT / "docs" / "planted-faults.md"

INTRODUCTION: Final = """\
# Planted faults

Each row is a small fault in the code that breaks one promise, and the test that notices it. `make mutants` plants them
one at a time in a copy of the checkout and runs their tests; it fails when a fault goes unnoticed. Every run of
`.ci/run` tries a sample, another one for each commit. The lists are in `tests/mutants/`; this page is written from them
by `python -m tests.mutants --write-table`.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *(_section(each) for each in kept_lists())])


def _section(each: FaultList) -> str:
    rows = [_row(fault) for fault in each.faults]
    return "\n".join(
        [
            f"## {each.area.replace('-', ' ').capitalize()}",
            "",
            f"{each.about} {len(each.faults)} faults.",
            "",
            "| promise | file | fault | noticed by |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _row(fault: Fault) -> str:
    noticed_by = " ".join(f"`{test.removeprefix('tests/')}`" for test in fault.tests)
    last = noticed_by or f"Nobody can: {_escaped(fault.harmless)}"
    return f"| {_escaped(fault.promise)} | `{fault.file}` | {_change(fault)} | {last} |"


def _change(fault: Fault) -> str:
    """The lines that differ; a line end in between is shown as ⏎."""
    lines = list(difflib.ndiff(fault.old.splitlines(), fault.new.splitlines()))
    before = _code([line[2:] for line in lines if line.startswith("- ")])
    after = _code([line[2:] for line in lines if line.startswith("+ ")])
    if before and after:
        return f"{before} → {after}"
    return f"without {before}" if before else f"with {after}"


def _escaped(text: str) -> str:
    """For a cell of a Markdown table, where a `|` ends the cell also within code."""
    return text.replace("|", "\\|")


def _code(lines: list[str]) -> str:
    text = _escaped(" ⏎ ".join(line.strip() for line in lines if line.strip()))
    if not text:
        return ""
    fence = "``" if "`" in text else "`"
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"
