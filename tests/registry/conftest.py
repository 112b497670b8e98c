"""Small projects of graphs in a temporary folder, imported as a deployment would, and forgotten afterwards."""

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

def shout(state: State) -> State:
    return {"text": state["text"].upper()}

builder = StateGraph(State).add_node("shout", shout).add_edge(START, "shout")
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

    def config(self, graphs: dict[str, Any], **more: Any) -> Path:
        return self.write("langgraph.json", json.dumps({"graphs": graphs} | more))

    async def load(self, graphs: dict[str, Any], **more: Any) -> Registry:
        return await Registry.load(self.config(graphs, **more))


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    path, modules, environment = list(sys.path), set(sys.modules), dict(os.environ)
    yield Project(tmp_path)
    sys.path[:] = path
    # all are found before the first one goes: a folder without __init__ looks its parent up to say where it is
    new = {name: sys.modules[name] for name in set(sys.modules) - modules}
    ours = [name for name, module in new.items() if str(tmp_path) in str(getattr(module, "__file__", None) or module)]
    for name in ours:
        del sys.modules[name]
    os.environ.clear()
    os.environ.update(environment)
    importlib.invalidate_caches()
