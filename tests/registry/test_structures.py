"""The structures of graphs, and their fingerprints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.registry.conftest import Project
from tests.registry.test_manifests import FLOW, MODELS, NESTED

PRINT_FINGERPRINTS = """
import asyncio, sys
from slipway.graphs.registry import Registry

async def main():
    registry = await Registry.load(sys.argv[1])
    print(*[registry.build(name).fingerprint for name in registry.names()])

asyncio.run(main())
"""


@pytest.mark.processes
def test_the_fingerprint_is_the_same_in_every_process(project: Project) -> None:
    for name, text in (("nested", NESTED), ("models", MODELS), ("flow", FLOW)):
        project.write(f"{name}.py", text)
    sources = {"a": "./nested.py:graph", "b": "./models.py:graph", "c": "./flow.py:flow"}
    config = project.config(sources)
    root = str(Path(__file__).parents[2])
    outputs = set()
    for seed in ("0", "1", "4711"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": root}
        process = subprocess.run(
            [sys.executable, "-c", PRINT_FINGERPRINTS, str(config)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        outputs.add(process.stdout)
    assert len(outputs) == 1
    assert len(set(outputs.pop().split())) == len(sources)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('.add_node("b", step)', '.add_node("b", step).add_node("extra", step)'),
        ('.add_edge(START, "a")', '.add_edge(START, "a").add_edge("a", END)'),
        ('{"b": "b", "c": "child"}', '{"b": "b"}'),
        ('.add_edge(["a", "b"], "child")', '.add_edge("b", "child")'),
        ("topic: str", "topic: str\n    more: int"),
        ("topic: str", "topic: int"),
        ("topic: str", "topic: Annotated[str, lambda old, new: new]"),
        ('nested("lowest")', "None"),
        ('.add_node("leaf", step)', '.add_node("leaf", step).add_node("bud", step)'),
    ],
)
async def test_the_fingerprint_changes_with_nodes_edges_and_state(project: Project, old: str, new: str) -> None:
    assert await fingerprint_changes(project, NESTED, old, new)


async def test_the_fingerprint_changes_with_a_reducer(project: Project) -> None:
    text = "import operator\n" + NESTED.replace("topic: str", "topic: Annotated[str, operator.add]")
    assert await fingerprint_changes(project, text, "operator.add", "operator.concat")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("centre: Point", "centre: Point\n    radius: int = 1"),
        ("text: str", "text: str\n    author: str = ''"),
        ("RED = 1", "RED = 1\n    BLUE = 2"),
        ('Literal["a", "b"]', 'Literal["a", "b", "c"]'),
        ("class Note", "class Remark"),
    ],
)
async def test_the_fingerprint_changes_with_classes_inside_the_state(project: Project, old: str, new: str) -> None:
    text = MODELS.replace("list[Shape]", "list[Circle]")
    if "Remark" in new:
        assert await fingerprint_changes(project, text, "Note", "Remark")
    else:
        assert await fingerprint_changes(project, text, old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def step(state: State) -> dict:", "def step(state: State) -> dict:\n    'Now with a docstring.'"),
        ("dict[str, Extra] | None", "Optional[dict[str, Extra]]"),
        ('Literal["a", "b"]', 'Literal["b", "a"]'),
        ("    question: str\n", "    'About this state.'\n    question: str\n"),
        ('= "a"', '= "b"'),
    ],
)
async def test_the_fingerprint_does_not_change_with_code_or_defaults(project: Project, old: str, new: str) -> None:
    assert not await fingerprint_changes(project, MODELS, old, new)


async def fingerprint_changes(project: Project, text: str, old: str, new: str) -> bool:
    """True if the module with `new` in place of `old` gives its graph another fingerprint."""
    assert old in text
    return await fingerprint_of(project, text) != await fingerprint_of(project, text.replace(old, new))


async def fingerprint_of(project: Project, text: str) -> str:
    sys.modules.pop("described", None)
    for cached in project.folder.glob("__pycache__/described*"):
        cached.unlink()
    project.write("described.py", text)
    registry = await project.load({"described": "./described.py:graph"})
    assert registry.failures() == {}
    return registry.build("described").fingerprint
