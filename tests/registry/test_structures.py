"""The structures of graphs, and their fingerprints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from slipway.graphs.structure import GraphStructure
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


# what a structure has


EVERYTHING = """
import operator
from typing import Annotated, Literal
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, RetryPolicy, interrupt
from pydantic import BaseModel
from slipway.nodes import uses
from typing_extensions import TypedDict

class State(BaseModel):
    question: str
    notes: Annotated[list[str], operator.add] = []

class Output(TypedDict):
    notes: list[str]

class Context(TypedDict):
    tone: str

def research(state: State) -> Command[Literal["review"]]:
    return Command(goto="review")

@uses(prompts={"letter": "7"}, models=["openai:gpt-5"])
def review(state: State) -> dict:
    return {"notes": [interrupt("ok?"), interrupt("sure?")]}

def send(state: State) -> dict:
    return {}

def choose(state: State) -> str:
    return "yes"

graph = (
    StateGraph(State, output_schema=Output, context_schema=Context)
    .add_node("research", research, retry_policy=RetryPolicy(max_attempts=5, retry_on=(ValueError, KeyError)))
    .add_node("review", review)
    .add_node("send", send, defer=True)
    .add_edge(START, "research")
    .add_conditional_edges("review", choose, {"yes": "send", "no": END})
    .add_edge(["research", "review"], "send")
    .compile(interrupt_before=["send"], interrupt_after=["research"])
)
"""

STRUCTURE: Any = {
    "api": "graph",
    "channels": {
        "notes": {"kind": "BinaryOperatorAggregate", "type": "list[str]", "reducer": "add"},
        "question": {"kind": "LastValue", "type": "str", "required": True},
    },
    "nodes": {
        "__start__": {"triggers": ["__start__"]},
        "research": {
            "triggers": ["branch:to:research"],
            "retries": ["max_attempts=5, retry_on=KeyError|ValueError"],
        },
        "review": {
            "triggers": ["branch:to:review"],
            "pauses": ["interrupt", "interrupt"],
            "prompts": {"letter": "7"},
            "models": ["openai:gpt-5"],
        },
        "send": {"triggers": ["branch:to:send", "join:research+review:send"], "deferred": True},
    },
    "edges": [
        ["__start__", "research", "edge"],
        ["research", "review", "branch"],
        ["research+review", "send", "join"],
        ["review", "__end__", "branch", "no"],
        ["review", "send", "branch", "yes"],
    ],
    "input": "{notes?: list[str], question: str}",
    "output": "{notes: list[str]}",
    "context": "{tone: str}",
    "breakpoints": ["after research", "before send"],
    "behaviour": "3",
}


async def test_a_structure_has_everything_that_stored_threads_depend_on(project: Project) -> None:
    project.write("described.py", EVERYTHING)
    section = {"graphs": {"described": {"behaviour": "3"}}}
    registry = await project.load({"described": "./described.py:graph"}, slipway=section)
    structure = await registry.structure("described")
    assert structure is not None
    assert structure.to_json() == STRUCTURE
    assert GraphStructure.from_json(structure.to_json()) == structure
    assert GraphStructure.from_json(STRUCTURE | {"added_later": 1}) == structure


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("max_attempts=5", "max_attempts=6"),
        ("question: str", "question: str = ''"),
        ('interrupt_before=["send"], ', ""),
        ("defer=True", "defer=False"),
        ('{"yes": "send", "no": END}', '{"y": "send", "no": END}'),
        ('Command[Literal["review"]]', 'Command[Literal["review", "send"]]'),
        ("tone: str", "tone: int"),
        ("class Output(TypedDict):", "class Output(TypedDict):\n    question: str"),
        ('interrupt("sure?")', '"sure"'),
    ],
)
async def test_the_fingerprint_changes_with_every_part(project: Project, old: str, new: str) -> None:
    assert await fingerprint_changes(project, EVERYTHING, old, new)


async def test_the_fingerprint_does_not_change_with_prompts_and_models(project: Project) -> None:
    assert not await fingerprint_changes(project, EVERYTHING, '"7"', '"8"')
    assert not await fingerprint_changes(project, EVERYTHING, "openai:gpt-5", "openai:gpt-6")


async def test_the_fingerprint_changes_with_the_declared_behaviour(project: Project) -> None:
    project.write("described.py", EVERYTHING)
    fingerprints = set()
    for behaviour in ("1", "2"):
        section = {"graphs": {"described": {"behaviour": behaviour}}}
        registry = await project.load({"described": "./described.py:graph"}, slipway=section)
        fingerprints.add(registry.build("described").fingerprint)
    assert len(fingerprints) == 2


@pytest.mark.parametrize(
    ("text", "attribute", "expected"),
    [
        (EVERYTHING, "graph", "dbd36021302cceea"),
        (NESTED, "graph", "222359952886be15"),
        (MODELS, "graph", "aaee836b67574aea"),
        (FLOW, "flow", "cdefa8afeabaf71b"),
    ],
)
async def test_the_fingerprint_is_the_same_with_every_python_and_release_of_libraries(
    project: Project, text: str, attribute: str, expected: str
) -> None:
    """These values are stored in threads and compared with those of later releases: a change of one of them is a change
    that users notice."""
    project.write("described.py", text)
    registry = await project.load({"described": f"./described.py:{attribute}"})
    assert registry.version("described").schema == expected
