"""A project whose `.env` uses the names of Slipway's former options, and of a platform's, for itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from langgraph_sdk import get_client

from tests.site import developing

OWN = {
    "MAX_TOKENS": "4k",
    "CHECKPOINTER": "postgres",
    "REDIS_URL": "redis://127.0.0.1:1/9",
    "REDIS_TLS_URL": "rediss://127.0.0.1:1/9",
    "LOG_LEVEL": "INFO",
    "PORT": "abc",
    "HOST": "nowhere.invalid",
    "CONFIG": "other.json",
    "ENCRYPTION_KEY": "short",
    "MAX_STEPS": "many",
}
GRAPH = """
import os
from typing import TypedDict
from langgraph.graph import StateGraph

class State(TypedDict, total=False):
    found: dict

def look(state: State) -> State:
    return {"found": {name: os.environ.get(name) for name in NAMES}}

graph = StateGraph(State).add_node(look).set_entry_point("look").compile()
"""


@pytest.mark.timeout(400)
async def test_it_reaches_the_graphs_whole_and_slipway_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "graph.py").write_text(f"NAMES = {[*OWN]}\n{GRAPH}")
    lines = [*(f"{name}={value}" for name, value in OWN.items()), "SLIPWAY_LOG_LEVEL=Debug"]
    (tmp_path / ".env").write_text("\n".join(lines))
    graphs = {"look": "./graph.py:graph", "quick": "./graph.py:graph"}
    ours = {"graphs": {"quick": {"execution": "inline"}}}
    config = tmp_path / "langgraph.json"
    config.write_text(json.dumps({"graphs": graphs, "env": ".env", "slipway": ours}))
    folder = tmp_path / "data"
    folder.mkdir()
    with developing(config, folder) as site:
        async with get_client(url=site.url) as client:
            for graph in graphs:
                assert await client.runs.wait(None, graph, input={}) == {"found": OWN}
    lines = (folder / "dev.log").read_text().splitlines()
    assert any(json.loads(line)["level"] == "debug" for line in lines if line.startswith("{"))
