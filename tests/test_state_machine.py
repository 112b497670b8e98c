"""The state machine of runs, as docs/state-machine.md draws it and the docstring of the record lists it, is that of the
scripts: every script that writes the field `phase` is named at an arrow to that phase, and the other way round."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Final, NamedTuple

from slipway.runs import record
from slipway.runs.record import FINAL, Phase
from tests.catalogue.lua_use import FieldValue
from tests.catalogue.scripts import source
from tests.redis.lua_names import SCRIPTS

ROOT: Final = Path(__file__).parent.parent
PAGE: Final = ROOT / "docs" / "state-machine.md"
START: Final = frozenset({"[*]", "(new)"})


class Move(NamedTuple):
    """A change of the phase by one script. `before` is None if the script creates the run."""

    before: str | None
    after: str
    script: str


def drawn_moves() -> set[Move]:
    """The arrows of the page, one move for each script that an arrow names."""
    arrows = re.findall(r"^ +(\S+) --> (\w+) : (.+)$", PAGE.read_text(), re.MULTILINE)
    return {move for arrow in arrows for move in _moves(*arrow)}


def listed_moves() -> set[Move]:
    """The lines of the docstring of the record."""
    lines = re.findall(r"^ +(\S+) +→ (\w+) +(.+)$", record.__doc__ or "", re.MULTILINE)
    return {move for line in lines for move in _moves(*line)}


def _moves(before: str, after: str, label: str) -> Iterator[Move]:
    """The label names the scripts, then says in brackets when they make the move."""
    for script in label.partition(" (")[0].split(", "):
        yield Move(None if before in START else before, after, script)


def written_phases() -> set[tuple[str, str]]:
    """Each script with each phase that it writes. A phase that a script receives is one with which attempts settle."""
    return {(value.script, phase) for value in source().field_values("run", "phase") for phase in _phases_of(value)}


def _phases_of(value: FieldValue) -> Set[str]:
    if literal := re.fullmatch(r"'(\w+)'", value.expression):
        return {literal[1]}
    assert value.expression == "args.phase", value
    return settled_phases()


def settled_phases() -> set[str]:
    """The phases that the code gives to an `Outcome` or a `Settlement`."""
    modules = [path for folder in ("app", "workers") for path in (ROOT / folder).rglob("*.py")]
    calls = [node for path in modules for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    results = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in ("Outcome", "Settlement")]
    names = [match for call in results for match in re.findall(r"Phase\.(\w+)", ast.unparse(call))]
    return {Phase[name].value for name in names}


def test_the_page_names_each_script_at_arrows_to_the_phases_that_it_writes() -> None:
    assert {(move.script, move.after) for move in drawn_moves()} == written_phases()


def test_every_name_at_an_arrow_is_a_script() -> None:
    assert {move.script for move in drawn_moves()} <= SCRIPTS.keys()


def test_the_record_lists_the_moves_of_the_page() -> None:
    assert listed_moves() == drawn_moves()


def test_the_page_draws_every_phase_and_no_arrow_leaves_a_final_one() -> None:
    text = PAGE.read_text()
    arrows = set(re.findall(r"^ +(\S+) --> (\S+)", text, re.MULTILINE))
    assert {phase for arrow in arrows for phase in arrow} - {"[*]"} == set(Phase)
    assert {before for before, after in arrows if after == "[*]"} == FINAL
    assert {after for before, after in arrows if before in FINAL} == {"[*]"}


def test_every_script_that_writes_a_phase_is_found() -> None:
    """Also those that write it in a function of a library, or with a phase that they receive."""
    written = written_phases()
    assert {("run_claim", "running"), ("run_reap", "queued"), ("run_settle", "failed")} <= written
    assert ("run_settle", "queued") not in written
