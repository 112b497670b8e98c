"""The measured server with its processes and its Redis, and the number of repetitions."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

import psutil

from slipway.processes.embedded_valkey import EmbeddedServer
from slipway.redis.connection import Address
from slipway.redis.pipeline import Pipeline
from slipway.redis.server_pipeline import ServerPipeline
from tests.bench.client import connections, wait_small
from tests.environment import bare_environment

CONFIG: Final = Path(__file__).with_name("langgraph.json")
COMMAND_LINES: Final = {
    "web": "slipway web",
    "worker": "slipway worker",
    "valkey": "valkey-server",
}
"""A part of the command line of each process, by the kind of process."""

READY_WITHIN_S: Final = 60.0
_WARM_UP_RUNS: Final = 50


class NeedsOwnServer(Exception):
    """The benchmark reads the processes of the server, so it cannot measure a server at `--url`."""


@dataclass(frozen=True, slots=True)
class Bench:
    """The measured server. `processes` are the web process, the worker and Valkey by name."""

    url: str
    quick: bool
    processes: dict[str, psutil.Process] = field(default_factory=dict)
    redis: Pipeline | None = None
    redis_url: str = ""

    def size(self, full: int, quick: int) -> int:
        """The number of repetitions."""
        return quick if self.quick else full

    def own(self) -> dict[str, psutil.Process]:
        """The processes. Raises `NeedsOwnServer` for a server at `--url`."""
        if not self.processes:
            raise NeedsOwnServer
        return self.processes

    def own_redis(self) -> Pipeline:
        """The Redis of the server. Raises `NeedsOwnServer` for a server at `--url`."""
        if self.redis is None:
            raise NeedsOwnServer
        return self.redis

    async def info(self, section: str) -> dict[str, str]:
        """A section of the server's INFO."""
        text = (await self.own_redis().send("INFO", section, repeatable=True)).decode()
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


@contextlib.asynccontextmanager
async def serving(
    url: str | None,
    *,
    quick: bool,
    env: Mapping[str, str] = MappingProxyType({}),
    python: str = sys.executable,
    config: Path = CONFIG,
) -> AsyncIterator[Bench]:
    """The server at `url`; without a URL, the `slipway dev` of the environment of `python`, in a new directory with the
    environment variables `env`."""
    if url is not None:
        yield Bench(url.rstrip("/"), quick)
        return
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        async with _dev(Path(folder), env, python, config) as (server, ready_url):
            redis_url = EmbeddedServer(Path(folder) / "data").url
            pipeline = ServerPipeline(Address(redis_url), "bench", patience_s=5)
            await pipeline.open()
            try:
                bench = Bench(ready_url, quick, dict(_children(server.pid)), pipeline, redis_url)
                if config == CONFIG:
                    await _warm_up(bench)
                yield bench
            finally:
                await pipeline.close()


@contextlib.asynccontextmanager
async def _dev(
    folder: Path, env: Mapping[str, str], python: str, config: Path
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    log = folder / "log"
    with log.open("wb") as errors:
        server = await asyncio.create_subprocess_exec(
            *(python, "-P", "-m", "slipway", "dev"),
            *("--config", str(config), "--port", "0", "--data-dir", str(folder / "data")),
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env=bare_environment() | dict(env),
        )
    assert server.stdout is not None
    try:
        line = await _ready_line(server.stdout)
        if not line:
            sys.exit(f"slipway dev did not become ready:\n{log.read_text()[-3000:]}")
        drain = asyncio.create_task(_discard_output(server.stdout), name="discard output")
        yield server, line.split()[1].decode()
        drain.cancel()
    finally:
        if server.returncode is None:
            server.terminate()
            await server.wait()


async def _ready_line(stream: asyncio.StreamReader) -> bytes:
    """`ready http://…`; empty when the server exited or was not ready in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READY_WITHIN_S):
            while line := await stream.readline():
                if line.startswith(b"ready "):
                    return line
    return b""


async def _discard_output(stream: asyncio.StreamReader) -> None:
    while await stream.read(65536):
        pass


def _children(pid: int) -> Iterator[tuple[str, psutil.Process]]:
    for child in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.ZombieProcess, psutil.NoSuchProcess):  # the process has exited
            command_line = " ".join(child.cmdline())
            yield from ((name, child) for name, part in COMMAND_LINES.items() if part in command_line)


async def _warm_up(bench: Bench) -> None:
    async with connections(bench.url, 4) as clients:
        for _ in range(_WARM_UP_RUNS // 4):
            await asyncio.gather(*map(wait_small, clients))
