"""A project whose `.env` has variables with former names of options, and with names that platforms set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from langgraph_sdk import get_client

from tests.site import running_site

VARIABLES = {
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
    variables: dict

def read_variables(state: State) -> State:
    return {"variables": {name: os.environ.get(name) for name in NAMES}}

graph = StateGraph(State).add_node(read_variables).set_entry_point("read_variables").compile()
"""


@pytest.mark.timeout(400)
async def test_graphs_receive_all_variables_and_slipway_uses_none(tmp_path: Path) -> None:
    (tmp_path / "graph.py").write_text(f"NAMES = {[*VARIABLES]}\n{GRAPH}")
    lines = [*(f"{name}={value}" for name, value in VARIABLES.items()), "SLIPWAY_LOG_LEVEL=Debug"]
    (tmp_path / ".env").write_text("\n".join(lines))
    graphs = {"by_worker": "./graph.py:graph", "inline": "./graph.py:graph"}
    section = {"graphs": {"inline": {"execution": "inline"}}}
    config = tmp_path / "langgraph.json"
    config.write_text(json.dumps({"graphs": graphs, "env": ".env", "slipway": section}))
    folder = tmp_path / "data"
    folder.mkdir()
    with running_site(config, folder) as site:
        async with get_client(url=site.url) as client:
            for graph in graphs:
                assert await client.runs.wait(None, graph, input={}) == {"variables": VARIABLES}
    lines = (folder / "dev.log").read_text().splitlines()
    logged = [json.loads(line) for line in lines if line.startswith("{")]
    requests = [line for line in logged if line["event"] == "http.request"]
    assert any(line["status"] == 200 for line in requests), "logged with the level `debug` only"
