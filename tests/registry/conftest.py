"""Small projects in a temporary folder. They are imported as in a deployment and unloaded after the test."""

from __future__ import annotations

import importlib
import json
import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slipway.graphs.registry import Registry

SIMPLE = """
from typing import TypedDict
from langgraph.graph import START, StateGraph

class State(TypedDict):
    text: str

def upper(state: State) -> State:
    return {"text": state["text"].upper()}

builder = StateGraph(State).add_node("upper", upper).add_edge(START, "upper")
graph = builder.compile()
"""


class Project:
    """A folder with a langgraph.json."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, path: str, text: str = SIMPLE) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return file

    def config(self, graphs: dict[str, Any], **sections: Any) -> Path:
        return self.write("langgraph.json", json.dumps({"graphs": graphs} | sections))

    async def load(self, graphs: dict[str, Any], **sections: Any) -> Registry:
        return await Registry.load(self.config(graphs, **sections))


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """An empty project. Afterwards its modules are unloaded, and `sys.path` and the environment are as before."""
    path, modules, environment = list(sys.path), set(sys.modules), dict(os.environ)
    yield Project(tmp_path)
    sys.path[:] = path
    # All modules are collected before the first is deleted: a namespace package reads its parent to return its path.
    new = {name: sys.modules[name] for name in set(sys.modules) - modules}
    of_project = [
        name for name, module in new.items() if str(tmp_path) in str(getattr(module, "__file__", None) or module)
    ]
    for name in of_project:
        del sys.modules[name]
    os.environ.clear()
    os.environ.update(environment)
    importlib.invalidate_caches()
