"""The graphs of langgraph.json: each imports without LangChain, and has schemas and a drawing."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph.state import CompiledStateGraph

PROJECT_ROOT = Path(__file__).parents[2]
LISTED: dict[str, dict[str, str]] = json.loads((PROJECT_ROOT / "langgraph.json").read_text())["graphs"]


@pytest.mark.parametrize("graph_id", LISTED)
def test_each_graph_is_compiled_and_has_schemas_and_a_drawing(graph_id: str) -> None:
    module, _, attribute = LISTED[graph_id]["path"].partition(":")
    graph: CompiledStateGraph[Any, Any, Any, Any] = getattr(importlib.import_module(module), attribute)
    assert isinstance(graph, CompiledStateGraph)
    assert graph.checkpointer is None
    assert graph.get_input_jsonschema()["properties"]
    assert graph.get_output_jsonschema()["properties"]
    assert "__start__" in graph.get_graph().draw_mermaid()


@pytest.mark.processes
def test_importing_the_graphs_imports_no_langchain() -> None:
    modules = ", ".join(entry["path"].partition(":")[0] for entry in LISTED.values())
    code = f"import sys, {modules}; sys.exit('langchain' in sys.modules)"
    env = {"SLIPWAY_LIBRARY_DIR": "/nowhere", "SLIPWAY_MODEL": "no:such"}
    process = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, env=env, check=False)
    assert process.returncode == 0
