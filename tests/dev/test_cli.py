"""What the commands say when they cannot start: one line that names what to change, never a traceback."""

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
from tests.conftest import Eventually, bare_environment

pytestmark = pytest.mark.processes

Slipway = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def slipway(tmp_path: Path) -> Slipway:
    """Runs a command to its end, in a folder with a langgraph.json and an environment without our options."""
    (tmp_path / "langgraph.json").write_text('{"graphs": {"a": "./a.py:graph"}}')

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "slipway.cli", *arguments]
        root = str(Path(__file__).parent.parent.parent)
        env = bare_environment() | {"PYTHONPATH": root} | environment
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30, check=False)

    return run


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a command that would not start."""
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_a_port_in_use(slipway: Slipway) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        for refusal in (slipway("dev", "--port", port), slipway("dev", SLIPWAY_PORT=port), slipway("dev", PORT=port)):
            assert f"cannot listen on 127.0.0.1:{port}" in refused(refusal)


def test_a_host_that_is_not_here() -> None:
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1"):
        listen("192.0.2.1", 0)


def test_no_langgraph_json(slipway: Slipway) -> None:
    assert "nowhere.json" in refused(slipway("dev", "--config", "nowhere.json"))


def test_an_option_that_cannot_work(slipway: Slipway) -> None:
    assert "SLIPWAY_MAX_STEPS" in refused(slipway("worker", SLIPWAY_MAX_STEPS="none"))


@pytest.mark.parametrize("command", ["web", "worker"])
def test_no_redis_url(slipway: Slipway, command: str) -> None:
    assert "REDIS_URL" in refused(slipway(command))


def test_a_redis_url_that_is_none(slipway: Slipway) -> None:
    assert "REDIS_URL" in refused(slipway("worker", REDIS_URL="http://localhost"))


def test_a_redis_that_goes_away_during_the_start_is_no_error_of_the_configuration(slipway: Slipway) -> None:
    """A supervisor starts such a process again."""
    done = slipway("doctor", SLIPWAY_REDIS_URL="unix:///nowhere/none.sock")
    assert (done.returncode, done.stdout) == (exit_codes.UNAVAILABLE, ""), done.stderr
    assert "none.sock" in done.stderr


@pytest.mark.parametrize(("variable", "value"), [("SLIPWAY_CONFIG", "other.json"), ("SLIPWAY_HOST", "192.0.2.1")])
def test_where_things_are(slipway: Slipway, variable: str, value: str) -> None:
    assert value in refused(slipway("dev", **{variable: value}))


async def test_the_data_directory(slipway: Slipway, tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path / "other").locked():
        done = await asyncio.to_thread(slipway, "dev", SLIPWAY_PORT="0", SLIPWAY_DATA_DIR="other")
    assert "another `slipway dev`" in done.stderr


async def test_a_data_directory_in_use(slipway: Slipway, tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path / "data").locked():
        done = await asyncio.to_thread(slipway, "dev", "--port", "0", "--data-dir", "data")
    assert "another `slipway dev`" in done.stderr
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (2, "", False)


async def test_a_redis_that_is_away_is_waited_for(tmp_path: Path, eventually: Eventually) -> None:
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


class TestRelease:
    """What `slipway release` finds wrong with a server."""

    async def test_nothing(self, valkey_url: str) -> None:
        assert await redis_problems(Settings.of({"redis_url": valkey_url})) == []

    async def test_a_server_that_is_away(self, tmp_path: Path) -> None:
        (problem,) = await redis_problems(Settings.of({"redis_url": f"unix://{tmp_path}/none.sock"}))
        assert "none.sock" in problem

    async def test_a_server_that_drops_keys(self, valkey_url: str, pipeline: Pipeline) -> None:
        await pipeline.send("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        try:
            (problem,) = await redis_problems(Settings.of({"redis_url": valkey_url}))
        finally:
            await pipeline.send("CONFIG", "SET", "maxmemory-policy", "noeviction")
        assert "noeviction" in problem
