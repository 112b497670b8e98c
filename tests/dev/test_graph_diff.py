"""`slipway graph diff` compares versions of a project, and the graphs of two checkouts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.environment import PYTHON_PATH, bare_environment

pytestmark = pytest.mark.processes

GRAPH = """
from typing import TypedDict
from langgraph.graph import START, StateGraph

class State(TypedDict, total=False):
    amount: int

graph = StateGraph(State).add_node("{node}", lambda state: {{}}).add_edge(START, "{node}").compile()
"""

Diff = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def diff(tmp_path: Path) -> Diff:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        env = bare_environment() | {"PYTHONPATH": PYTHON_PATH}
        command = [sys.executable, "-m", "slipway", "graph", "diff", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=50, check=False)

    return run


def write_project(folder: Path, **nodes: str) -> None:
    folder.mkdir(exist_ok=True)
    for name, node in nodes.items():
        (folder / f"{name}.py").write_text(GRAPH.format(node=node))
    versions = {name.removeprefix("v"): f"./{name}.py:graph" for name in nodes}
    section = {"graphs": {"desk": {"versions": versions, "default": max(versions)}}}
    (folder / "langgraph.json").write_text(
        json.dumps({"graphs": {"desk": f"./{min(nodes)}.py:graph"}, "slipway": section})
    )


def test_two_versions_of_a_project(diff: Diff, tmp_path: Path) -> None:
    write_project(tmp_path, v1="review", v2="human_review")
    process = diff("desk@1", "desk")
    assert process.returncode == 1, process.stderr
    assert process.stdout.startswith("desk@1 → desk:\n  can hold stored threads:\n    node 'review' is removed")


def test_two_checkouts_with_modules_of_the_same_names(diff: Diff, tmp_path: Path) -> None:
    write_project(tmp_path / "old", v1="review")
    write_project(tmp_path / "new", v1="other")
    changed = diff("old/langgraph.json", "new/langgraph.json", "--json")
    assert changed.returncode == 1, changed.stderr
    assert {json.loads(line)["code"] for line in changed.stdout.splitlines()} >= {"node.removed", "node.added"}
    (tmp_path / "new" / "v1.py").write_text("graph = 1 / 0")
    process = diff("old/langgraph.json", "new/langgraph.json")
    assert (process.returncode, process.stdout) == (2, "")
    assert "new/langgraph.json cannot be loaded" in process.stderr
    assert "ZeroDivisionError" in process.stderr
