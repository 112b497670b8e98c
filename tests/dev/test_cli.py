"""A command that cannot start prints one line that names the setting to change, never a traceback."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from slipway.errors import ConfigError
from slipway.health.release_checks import redis_problems
from slipway.processes import exit_codes
from slipway.processes.dev import listen
from slipway.processes.embedded_valkey import EmbeddedServer
from slipway.processes.supervisor import Supervisor
from slipway.redis.pipeline import Pipeline
from slipway.redis.wait_for_redis import problem_with, wait_for_redis
from slipway.settings import Settings
from tests.environment import PYTHON_PATH, bare_environment
from tests.waiting import Eventually

pytestmark = pytest.mark.processes

Slipway = Callable[..., "subprocess.CompletedProcess[str]"]

NOT_FOR_EVERY_PROCESS = ("langgraph", "langchain", "langsmith", "starlette", "uvicorn", "httpx", "arq", "jsonschema")
"""How the names of packages begin that take long to import, and that only some commands need."""


@pytest.fixture
def slipway(tmp_path: Path) -> Slipway:
    """Executes a command in a folder with a langgraph.json and an environment without settings of Slipway."""
    (tmp_path / "langgraph.json").write_text('{"graphs": {"a": "./a.py:graph"}}')

    def run(*arguments: str, module: str = "slipway.cli", **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", module, *arguments]
        env = bare_environment() | {"PYTHONPATH": PYTHON_PATH} | environment
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30, check=False)

    return run


def error_line(process: subprocess.CompletedProcess[str]) -> str:
    """The only line of output of a command that did not start."""
    assert process.returncode == 2
    assert process.stdout == ""
    assert process.stderr.count("\n") == 1
    return process.stderr


def test_a_port_in_use_is_reported(slipway: Slipway) -> None:
    with listen("127.0.0.1", 0) as listener:
        port = str(listener.getsockname()[1])
        for process in (slipway("dev", "--port", port), slipway("dev", SLIPWAY_PORT=port), slipway("dev", PORT=port)):
            assert f"cannot listen on 127.0.0.1:{port}" in error_line(process)


def test_a_host_of_another_machine_is_reported() -> None:
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1"):
        listen("192.0.2.1", 0)


def test_a_missing_langgraph_json_is_reported(slipway: Slipway) -> None:
    assert "nowhere.json" in error_line(slipway("dev", "--config", "nowhere.json"))


def test_an_invalid_setting_is_reported(slipway: Slipway) -> None:
    assert "SLIPWAY_MAX_STEPS" in error_line(slipway("worker", SLIPWAY_MAX_STEPS="none"))


@pytest.mark.parametrize("command", ["web", "worker"])
def test_a_missing_redis_url_is_reported(slipway: Slipway, command: str) -> None:
    assert "REDIS_URL" in error_line(slipway(command))


def test_an_invalid_redis_url_is_reported(slipway: Slipway) -> None:
    assert "REDIS_URL" in error_line(slipway("worker", REDIS_URL="http://localhost"))


def test_an_unavailable_redis_has_another_exit_code_than_a_wrong_setting(slipway: Slipway) -> None:
    """A supervisor restarts a process with this exit code."""
    process = slipway("doctor", SLIPWAY_REDIS_URL="unix:///nowhere/none.sock")
    assert (process.returncode, process.stdout) == (exit_codes.UNAVAILABLE, ""), process.stderr
    assert "none.sock" in process.stderr


@pytest.mark.parametrize(("variable", "value"), [("SLIPWAY_CONFIG", "other.json"), ("SLIPWAY_HOST", "192.0.2.1")])
def test_config_and_host_are_read_from_the_environment(slipway: Slipway, variable: str, value: str) -> None:
    assert value in error_line(slipway("dev", **{variable: value}))


async def test_the_data_directory_is_read_from_the_environment(slipway: Slipway, tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path / "other").locked():
        process = await asyncio.to_thread(slipway, "dev", SLIPWAY_PORT="0", SLIPWAY_DATA_DIR="other")
    assert "another `slipway dev`" in process.stderr


async def test_a_data_directory_in_use_is_reported(slipway: Slipway, tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path / "data").locked():
        process = await asyncio.to_thread(slipway, "dev", "--port", "0", "--data-dir", "data")
    assert "another `slipway dev`" in process.stderr
    assert (process.returncode, process.stdout, "Traceback" in process.stderr) == (2, "", False)


async def test_a_process_waits_for_an_unavailable_redis(tmp_path: Path, eventually: Eventually) -> None:
    server, supervisor = EmbeddedServer(tmp_path), Supervisor()
    with capture_logs() as lines:
        waiting = asyncio.create_task(wait_for_redis(server.url))
        await eventually(lambda: any(line["event"] == "redis.unavailable" for line in lines), beside=waiting)
        assert await problem_with(server.url) is not None
        async with server.locked() as lock:
            try:
                await supervisor.start_child(server.spec(lock))
                await waiting
            finally:
                await supervisor.stop()


@pytest.mark.parametrize(
    ("arguments", "environment", "problem"),
    [
        ((), {"SLIPWAY_MAX_STEPS": "none"}, "SLIPWAY_MAX_STEPS"),
        ((), {"SLIPWAY_FAILPOINT": "nowhere"}, "SLIPWAY_FAILPOINT"),
        ((), {"SLIPWAY_WORKER_PROCESSES": "2"}, "SLIPWAY_WORKER_PROCESSES (2): arq starts one process"),
        (("--check",), {}, "REDIS_URL"),
        (("--burst",), {}, "--burst"),
        (("--watch", "."), {}, "--watch"),
        (("--custom-log-dict", "logging.root"), {}, "--custom-log-dict"),
    ],
)
def test_a_worker_of_arq_that_cannot_start_is_reported(
    slipway: Slipway, arguments: tuple[str, ...], environment: dict[str, str], problem: str
) -> None:
    """Also beside settings that would let it start."""
    usable = {} if "REDIS_URL" in problem else {"SLIPWAY_REDIS_URL": "unix:///nowhere/none.sock"}
    command = ("slipway_workers.settings.WorkerSettings", *arguments)
    assert problem in error_line(slipway(*command, module="arq", **usable, **environment))


def test_a_check_of_an_unavailable_redis_is_reported(slipway: Slipway) -> None:
    command, url = ("--check", "slipway_workers.settings.WorkerSettings"), "unix:///nowhere/none.sock"
    process = slipway(*command, module="arq", SLIPWAY_REDIS_URL=url)
    assert (process.returncode, process.stderr.count("\n")) == (exit_codes.UNAVAILABLE, 1), process.stderr
    assert "none.sock" in process.stderr


def test_a_check_of_arq_imports_no_graphs() -> None:
    """Neither does a worker while it waits for Redis."""
    code = "import sys, slipway_workers.settings; print(*sys.modules)"
    process = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=True)
    imported = {name.partition(".")[0] for name in process.stdout.split()}
    assert "arq" in imported
    assert not {name for name in imported if name.startswith(("langgraph", "langchain", "starlette"))}


def test_the_command_line_imports_no_graphs_and_no_servers() -> None:
    """Every process imports it first, and the process that forks the others may have one thread."""
    code = "import sys, threading, slipway.cli; print(threading.active_count(), *sys.modules)"
    process = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=True)
    threads, *modules = process.stdout.split()
    imported = {name.partition(".")[0] for name in modules}
    assert "typer" in imported
    assert not {name for name in imported if name.startswith(NOT_FOR_EVERY_PROCESS)}
    assert threads == "1"


class TestRelease:
    """The problems of a Redis server that `slipway release` reports."""

    async def test_a_correct_server_has_no_problem(self, valkey_url: str) -> None:
        assert await redis_problems(Settings.from_values({"redis_url": valkey_url})) == []

    async def test_an_unavailable_server_is_a_problem(self, tmp_path: Path) -> None:
        (problem,) = await redis_problems(Settings.from_values({"redis_url": f"unix://{tmp_path}/none.sock"}))
        assert "none.sock" in problem

    async def test_a_server_that_evicts_keys_is_a_problem(self, valkey_url: str, pipeline: Pipeline) -> None:
        await pipeline.send("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        try:
            (problem,) = await redis_problems(Settings.from_values({"redis_url": valkey_url}))
        finally:
            await pipeline.send("CONFIG", "SET", "maxmemory-policy", "noeviction")
        assert "noeviction" in problem
