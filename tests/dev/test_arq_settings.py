"""A wrong `slipway.arq` ends each command with one line and the exit code of a wrong configuration."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from slipway.processes import exit_codes
from tests.embedded_valkey import embedded_valkey
from tests.environment import PYTHON_PATH, bare_environment

pytestmark = pytest.mark.processes

GRAPH = """
from langgraph.graph import MessagesState, StateGraph
graph = StateGraph(MessagesState).add_node("a", lambda state: state).set_entry_point("a").compile()
"""

COMMANDS = {
    ("-m", "slipway", "web", "--port", "0"): exit_codes.CONFIG,
    ("-m", "slipway", "worker"): exit_codes.CONFIG,
    ("-m", "slipway", "dev", "--port", "0"): exit_codes.CONFIG,
    ("-m", "arq", "slipway_workers.settings.WorkerSettings"): exit_codes.CONFIG,
    ("-m", "slipway", "release"): 1,
}


async def executed(folder: Path, url: str, *arguments: str) -> tuple[int | None, str]:
    """The exit code and the standard error of a command in the folder."""
    env = bare_environment() | {"PYTHONPATH": PYTHON_PATH, "SLIPWAY_REDIS_URL": url, "SLIPWAY_LOG_LEVEL": "error"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=folder, env=env, stderr=asyncio.subprocess.PIPE
    )
    try:
        _, output = await asyncio.wait_for(process.communicate(), 50)
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode, output.decode()


async def test_a_wrong_arq_application_ends_each_command_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "graph.py").write_text(GRAPH)
    (tmp_path / "tasks.py").write_text("class WorkerSettings:\n    functions = []\n")
    (tmp_path / "langgraph.json").write_text(
        '{"graphs": {"a": "./graph.py:graph"}, "slipway": {"arq": "./tasks.py:WorkerSettings"}}'
    )
    with embedded_valkey() as url:
        outcomes = await asyncio.gather(*(executed(tmp_path, url, *command) for command in COMMANDS))
    for command, (code, output) in zip(COMMANDS, outcomes, strict=True):
        lines = [line for line in output.splitlines() if line.startswith("slipway: slipway.arq: ./tasks.py:Worker")]
        assert (command, code, len(set(lines))) == (command, COMMANDS[command], 1), output
        assert "Traceback" not in output
