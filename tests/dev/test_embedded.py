"""The embedded Valkey: it stores data durably, has one owner at a time, and exits with its owner."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from slipway.errors import ConfigError
from slipway.processes.embedded_valkey import EmbeddedServer
from slipway.processes.supervisor import Supervisor
from slipway.processes.valkey_program import valkey_program
from slipway.redis.connection import Address
from slipway.redis.pipeline import Pipeline
from slipway.redis.server_pipeline import ServerPipeline
from tests.waiting import Eventually

pytestmark = pytest.mark.processes

OWNER = """
import asyncio, pathlib, sys
from slipway.processes.embedded_valkey import EmbeddedServer
from slipway.processes.supervisor import Supervisor

async def main():
    server, supervisor = EmbeddedServer(pathlib.Path(sys.argv[1])), Supervisor()
    async with server.locked() as lock:
        await supervisor.start_child(server.spec(lock))
        await server.wait_until_ready()
        print("pid", supervisor.pid("valkey"), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@contextlib.asynccontextmanager
async def running(data_dir: Path) -> AsyncIterator[tuple[EmbeddedServer, Supervisor, Pipeline]]:
    server, supervisor = EmbeddedServer(data_dir), Supervisor()
    async with server.locked() as lock:
        try:
            await supervisor.start_child(server.spec(lock))
            await server.wait_until_ready()
            pipeline = ServerPipeline(Address(server.url), "test", patience_s=5)
            await pipeline.open()
            try:
                yield server, supervisor, pipeline
            finally:
                await pipeline.close()
        finally:
            await supervisor.stop()


async def test_data_survives_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as (_, _, pipeline):
        await pipeline.send("SET", "a", "1")
    async with running(tmp_path / "data") as (_, _, pipeline):
        assert await pipeline.send("GET", "a") == b"1"


async def test_data_survives_sigkill(tmp_path: Path, eventually: Eventually) -> None:
    async with running(tmp_path / "data") as (_, supervisor, pipeline):
        await pipeline.send("SET", "a", "1")
        first = supervisor.pid("valkey")
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: supervisor.pid("valkey") != first)
        assert await pipeline.send("GET", "a", repeatable=True) == b"1"


async def test_only_its_user_can_connect_and_no_key_is_evicted(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as (server, _, pipeline):
        assert await pipeline.send("CONFIG", "GET", "port") == [b"port", b"0"]
        assert await pipeline.send("CONFIG", "GET", "maxmemory-policy") == [b"maxmemory-policy", b"noeviction"]
        assert await pipeline.send("CONFIG", "GET", "appendonly") == [b"appendonly", b"yes"]
        path = Path(server.url.removeprefix("unix://"))
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert stat.S_IMODE(server.data_dir.stat().st_mode) == 0o700


async def test_a_path_can_be_longer_than_a_socket_allows(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-long-name-of-a-folder"] * 6)
    async with running(deep) as (_, _, pipeline):
        assert await pipeline.send("PING") in (b"PONG", "PONG")


async def test_the_error_for_a_second_owner_names_the_first(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path).locked():
        with pytest.raises(ConfigError, match=rf"in use .*process {os.getpid()}.*--data-dir"):
            async with EmbeddedServer(tmp_path).locked():
                pass
    async with EmbeddedServer(tmp_path).locked():
        pass


async def test_the_error_for_an_unwritable_folder_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="SLIPWAY_DATA_DIR"):
        async with EmbeddedServer(tmp_path / "file" / "data").locked():
            pass


@pytest.mark.parametrize("stopped", [False, True], ids=["killed owner", "stopped server"])
async def test_the_next_owner_waits_until_the_old_server_exits(tmp_path: Path, stopped: bool) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    with owner.stdout as output:
        line = output.readline()
        while line and not line.startswith(b"pid "):
            line = output.readline()
    pid = int(line.split()[1])
    if stopped:
        os.kill(pid, signal.SIGSTOP)  # a stopped server handles no signal until it continues
    owner.kill()
    owner.wait()
    continuing = asyncio.get_running_loop().call_later(0.3, os.kill, pid, signal.SIGCONT) if stopped else None
    async with running(tmp_path) as (server, supervisor, pipeline):
        assert supervisor.pid("valkey") != pid
        assert f"{pid}:signal-handler" in server.log_file.read_text(), (
            "the old server was killed before it wrote its data"
        )
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        assert await pipeline.send("DBSIZE") == 0
    if continuing is not None:
        continuing.cancel()


@pytest.mark.parametrize("record", [[], None])
def test_a_platform_without_valkey_is_reported(monkeypatch: pytest.MonkeyPatch, record: list[Path] | None) -> None:
    """A package has no record of its files if another installer than pip installed it."""
    monkeypatch.setattr("slipway.processes.valkey_program.files", lambda package: record)
    valkey_program.cache_clear()
    with pytest.raises(ConfigError, match="no Valkey for this platform: set SLIPWAY_REDIS_URL"):
        valkey_program()
    monkeypatch.undo()
    assert valkey_program().is_file()
