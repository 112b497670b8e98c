"""Two checkouts of a project: the old one serves version 1 of a graph, the new one serves version 2."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from slipway.redis.keys import Keys
from slipway.settings import Settings
from tests.deploy.processes import command
from tests.environment import PYTHON_PATH, bare_environment

CODE = """
from typing import TypedDict

from langgraph.graph import StateGraph
from langgraph.types import interrupt


class State(TypedDict, total=False):
    asks: bool
    answer: str
    executed_by: str


def step(state: State) -> State:
    answer = interrupt("continue?") if state.get("asks") else ""
    return {{"answer": answer, "executed_by": "version {version}"}}


graph = StateGraph(State).add_node(step).set_entry_point("step").compile()
"""


@pytest.fixture
def checkout(tmp_path: Path, valkey_url: str, keys: Keys) -> Callable[..., Settings]:
    """Writes a checkout with one version of the graph `desk`. Returns the settings of its processes."""

    def write(version: str, **section: Any) -> Settings:
        folder = tmp_path / f"v{version}"
        folder.mkdir()
        (folder / "graph.py").write_text(CODE.format(version=version))
        graphs = {"desk": {"version": version} | section}
        config = {"dependencies": ["."], "graphs": {"desk": "./graph.py:graph"}, "slipway": {"graphs": graphs}}
        (folder / "langgraph.json").write_text(json.dumps(config))
        return Settings.from_values(
            {
                "redis_url": valkey_url,
                "key_prefix": keys.prefix,
                "config": folder / "langgraph.json",
                "lease_s": 2,
                "heartbeat_s": 0.5,
                "reap_every_s": 0.25,
            }
        )

    return write


@asynccontextmanager
async def worker_process(settings: Settings) -> AsyncIterator[Any]:
    """A worker of a checkout, as a process group. It is killed at the end of the block."""
    folder = settings.config.parent
    environment = bare_environment() | {
        "PYTHONPATH": PYTHON_PATH,
        "SLIPWAY_REDIS_URL": settings.redis,
        "SLIPWAY_KEY_PREFIX": settings.key_prefix,
        "SLIPWAY_LEASE_S": str(settings.lease_s),
        "SLIPWAY_HEARTBEAT_S": str(settings.heartbeat_s),
        "SLIPWAY_REAP_EVERY_S": str(settings.reap_every_s),
    }
    async with command(f"exec {sys.executable} -m slipway worker", folder, environment) as process:
        yield process
