"""A small deployment of Slipway: a Valkey that stores every write on disk, web processes and workers. A test can kill,
suspend, resume and restart each process.

Each process is a child in its own session. The kernel kills it when the test process dies.
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
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol

import httpx

from slipway import failpoints
from slipway.environment_variables import variable_of
from slipway.errors import StoreUnavailable
from slipway.processes import exec_bound_to_parent
from slipway.processes.child_commands import slipway
from slipway.processes.forking import is_supported
from slipway.processes.valkey_program import valkey_program
from slipway.redis.connect import pipeline_to
from slipway.redis.connection import Address
from slipway.redis.server_modules import module_files
from slipway.redis.server_pipeline import ServerPipeline
from slipway.redis.shards import Shards
from slipway.serialization.compression import decompressed
from tests.crash.effects import Effects
from tests.crash.local_fork_server import ForkedProcess, fork_server
from tests.environment import PYTHON_PATH, bare_environment, free_port
from tests.redis_cluster import RedisCluster
from tests.waiting import wait_until

ROOT: Final = Path(__file__).parent.parent.parent
CONFIG: Final = Path(__file__).with_name("project") / "langgraph.json"
START_WITHIN_S: Final = 30.0
LEASE_S: Final = 2.0
_PORT: Final = 6379

SETTINGS: Final = {
    "SLIPWAY_LEASE_S": f"{LEASE_S}",
    "SLIPWAY_HEARTBEAT_S": "0.5",
    "SLIPWAY_REAP_EVERY_S": "0.25",
    "SLIPWAY_SSE_PING_S": "1",
    "SLIPWAY_LOG_FORMAT": "json",
}
"""Leases are short, so that tests wait only seconds until a lease expires."""


class Place(Protocol):
    """Where a process is executed, if not beside the test: `tests.hosts` has hosts of a network."""

    @property
    def enter(self) -> tuple[str, ...]:
        """What a command begins with that is executed there."""
        ...

    @property
    def env(self) -> Mapping[str, str]:
        """Environment variables of its processes."""
        ...

    @property
    def client_address(self) -> str:
        """The address at which clients reach its web processes."""
        ...


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, its environment, and the file for its output. `forked` has the arguments of
    `slipway` for a process that a supervisor would fork; for all others it is empty."""

    name: str
    program: tuple[str, ...]
    env: Mapping[str, str]
    log: Path
    forked: tuple[str, ...] = ()

    def at(self, place: Place | None) -> Command:
        """The command, executed there."""
        if place is None:
            return self
        return replace(self, program=(*place.enter, *self.program), env={**self.env, **place.env}, forked=())


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
        """True until the process exits, also while it is suspended."""
        return self._child is not None and self._child.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Negative for a signal, as in `subprocess`; None while the process runs."""
        return None if self._child is None else self._child.poll()

    def start(self, *arguments: str, **env: str) -> None:
        """`arguments` and `env` are added for this start only."""
        assert not self.alive, f"{self.name} runs already"
        full_env = {**bare_environment(), **self._command.env, **env}
        with self.log.open("ab") as out:
            if self._command.forked and is_supported() and not arguments:
                self._child = fork_server(PYTHON_PATH).fork(self._command.forked, full_env, out)
                return
            launcher = (
                sys.executable,
                "-I",
                "-S",
                exec_bound_to_parent.__file__,
                str(os.getpid()),
                str(int(signal.SIGKILL)),
            )
            self._child = subprocess.Popen(
                (*launcher, *self._command.program, *arguments),
                env=full_env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def signal(self, number: signal.Signals) -> None:
        """Does nothing if the process has exited."""
        if self.alive:
            os.kill(self.pid, number)

    async def kill(self) -> None:
        """SIGKILL, and wait until the process has exited."""
        self.signal(signal.SIGKILL)
        await self.wait_for_exit()

    def suspend(self) -> None:
        """SIGSTOP: the process behaves like a machine that hangs."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT)

    async def wait_for_exit(self, within_s: float = 10) -> int:
        """Returns the exit code."""
        await wait_until(lambda: not self.alive, within_s)
        assert self.exit_code is not None
        return self.exit_code

    def count_logged(self, event: str) -> int:
        """The number of lines with this event in the log of the process."""
        return self.log.read_text().count(f'"{event}"')

    def count_starts(self) -> int:
        """How often the process, a worker, has reported that it is ready."""
        return self.count_logged("worker.ready") if self.log.exists() else 0


class Web(Process):
    """A web process, at `url`."""

    def __init__(self, command: Command, url: str) -> None:
        super().__init__(command)
        self.url = url

    async def wait_until_ready(self) -> None:
        async with httpx.AsyncClient(base_url=self.url, timeout=2) as client:
            await wait_until(lambda: self._responds(client), START_WITHIN_S)

    async def _responds(self, client: httpx.AsyncClient) -> bool:
        assert self.alive, self.log.read_text()[-2000:]
        try:
            return (await client.get("/ok")).status_code == 200
        except httpx.TransportError:
            return False


class Cluster:
    """The processes of one Valkey and one key prefix. `running` creates it."""

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str],
        project: Path = CONFIG,
        *,
        valkey_place: Place | None = None,
        valkey_address: str | None = None,
        redis_cluster: RedisCluster | None = None,
        shards: int = 1,
    ) -> None:
        """With `valkey_address`, Valkey listens there too, on its usual port, and processes connect to it. Tests
        connect to its socket. With a `redis_cluster`, all connect to that one, and Valkey is not started."""
        self.folder, self._project = folder, project
        self._valkey_place, self._valkey_address = valkey_place, valkey_address
        self.socket = folder / "valkey.sock"
        self.redis_cluster = redis_cluster
        self.redis_url = f"unix://{self.socket}" if redis_cluster is None else redis_cluster.url
        self.shards = Shards("crash", shards)
        self.keys = self.shards.records
        self.effects = Effects(folder / "effects")
        self.webs: list[Web] = []
        self.workers: list[Process] = []
        self._numbers = count(1)
        self._env = {
            "SLIPWAY_REDIS_URL": f"redis://{valkey_address}:{_PORT}" if valkey_address else self.redis_url,
            "SLIPWAY_KEY_PREFIX": self.keys.prefix,
            "SLIPWAY_SHARDS": str(shards),
            "EFFECTS": str(self.effects.path),
            "PYTHONPATH": PYTHON_PATH,
            **SETTINGS,
            **settings,
        }
        self.valkey = self._valkey()
        self.pipeline = pipeline_to(Address(self.redis_url), "crash test", patience_s=START_WITHIN_S)

    def _valkey(self) -> Process:
        options = {
            "port": f"{_PORT}" if self._valkey_address else "0",
            "bind": self._valkey_address or "127.0.0.1",
            "protected-mode": "no",
            "unixsocket": str(self.socket),
            "dir": str(self.folder),
            "appendonly": "yes",
            # Valkey writes to the file before each reply, so a kill of Valkey loses nothing. With `everysec` it delays
            # the write for up to two seconds while a slow disk syncs, although it has replied.
            "appendfsync": "no",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        if self._env.get("SLIPWAY_CHECKPOINTER") == "langgraph-redis":
            arguments += [part for file in module_files() or () for part in ("--loadmodule", str(file))]
        command = Command("valkey", (str(valkey_program()), *arguments), {}, self.folder / "valkey.log")
        return Process(command.at(self._valkey_place))

    async def start_valkey(self) -> None:
        """Start Valkey on the data of the folder, and return when it executes commands."""
        if self.redis_cluster is not None:
            return
        self.valkey.start()
        await wait_until(self._valkey_responds, START_WITHIN_S)

    async def _valkey_responds(self) -> bool:
        probe = ServerPipeline(Address(self.redis_url), "probe", patience_s=1)
        try:
            await probe.open()
            return bool(await probe.send("PING", repeatable=True))
        except StoreUnavailable:
            return False
        finally:
            await probe.close()

    def append_only_file(self) -> Path:
        """The file from which Valkey loads its data when it starts."""
        [file] = (self.folder / "appendonlydir").glob("*.incr.aof")
        return file

    def add_worker(
        self,
        *,
        redis_url: str | None = None,
        processes: int = 1,
        project: Path | None = None,
        place: Place | None = None,
    ) -> Process:
        """A worker, or a supervisor of several workers, that is not started yet. `project` is the path of a
        langgraph.json; otherwise it has that of the cluster."""
        number = next(self._numbers)
        options = ("--processes", str(processes)) if processes > 1 else ()
        worker = Process(self._command(f"worker-{number}", "worker", redis_url, project, *options).at(place))
        self.workers.append(worker)
        return worker

    def add_arq_worker(self, *, redis_url: str | None = None) -> Process:
        """A worker of arq's command line that is not started yet."""
        command = self._arq_command(f"arq-{next(self._numbers)}", redis_url)
        worker = Process(command)
        self.workers.append(worker)
        return worker

    async def arq_check(self) -> tuple[int, str]:
        """The exit code and the output of `arq --check`."""
        return await self._execute(self._arq_command("check", None, "--check"))

    async def doctor(self) -> tuple[int, str]:
        """The exit code and the output of `slipway doctor`, about the state only."""
        return await self.command("doctor", "--only", "state")

    async def command(self, *arguments: str, project: Path | None = None) -> tuple[int, str]:
        """The exit code and the output of a command of `slipway`."""
        env = self._env | {variable_of("config"): str(project or self._project)}
        return await self._execute(Command("command", slipway(*arguments), env, self.folder / "command.log"))

    async def _execute(self, command: Command) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *command.program,
            env={**bare_environment(), **command.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    def _arq_command(self, name: str, redis_url: str | None, *arguments: str) -> Command:
        env = (
            self._env
            | {variable_of("config"): str(self._project)}
            | ({"SLIPWAY_REDIS_URL": redis_url} if redis_url else {})
        )
        program = (sys.executable, "-m", "arq", "slipway_workers.settings.WorkerSettings", *arguments)
        return Command(name, program, env, self.folder / f"{name}.log")

    def add_web(self, *, redis_url: str | None = None, project: Path | None = None, place: Place | None = None) -> Web:
        """A web process that is not started yet. It has the same port after each start."""
        port, address = free_port(), "127.0.0.1" if place is None else place.client_address
        options = ("--host", address, "--port", str(port))
        command = self._command(f"web-{len(self.webs) + 1}", "web", redis_url, project, *options).at(place)
        web = Web(command, f"http://{address}:{port}")
        self.webs.append(web)
        return web

    def _command(
        self, name: str, subcommand: str, redis_url: str | None, project: Path | None, *arguments: str
    ) -> Command:
        env = self._env | ({"SLIPWAY_REDIS_URL": redis_url} if redis_url else {})
        full = (subcommand, "--config", str(project or self._project), *arguments)
        forked = () if "--processes" in full else full
        return Command(name, slipway(*full), env, self.folder / f"{name}.log", forked)

    async def start_web(self, project: Path | None = None) -> Web:
        """Add a web process and return when it is ready."""
        web = self.add_web(project=project)
        web.start()
        await web.wait_until_ready()
        return web

    async def start_worker(
        self, failpoint: str | None = None, signal_name: str = "", *, project: Path | None = None
    ) -> Process:
        """Add a worker and return when it is ready. It kills itself at `failpoint`, or suspends itself there if
        `signal_name` is SIGSTOP."""
        worker = self.add_worker(project=project)
        await self.restart(worker, failpoint, signal_name)
        return worker

    async def start_arq_worker(self) -> Process:
        """Add a worker of arq's command line and return when it is ready."""
        worker = self.add_arq_worker()
        await self.restart(worker)
        return worker

    async def restart(self, worker: Process, failpoint: str | None = None, signal_name: str = "") -> None:
        """Start a worker that has exited, and return when it is a live worker that drains on SIGTERM."""
        starts_before = worker.count_starts()
        worker.start(**({failpoints.VARIABLE: failpoint, failpoints.SIGNAL: signal_name} if failpoint else {}))
        await wait_until(lambda: self._is_ready(worker, starts_before), START_WITHIN_S)

    async def _is_ready(self, worker: Process, starts_before: int) -> bool:
        assert worker.alive, worker.log.read_text()[-2000:]
        if worker.count_starts() == starts_before:
            return False
        live = await self.pipeline.send("ZRANGE", self.shards.processes.workers, 0, -1, repeatable=True)
        return any(f":{worker.pid}:".encode() in name for name in live)

    async def run(self, run_id: str) -> dict[str, str]:
        """The stored fields of a run."""
        flat = await self.pipeline.send("HGETALL", self.keys.run(run_id), repeatable=True)
        return {name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}

    async def log_of(self, run_id: str) -> list[tuple[str, str, bytes]]:
        """The event log of a run: (id, name, frame) of each event."""
        entries = await self.pipeline.send("XRANGE", self.keys.events(run_id), "-", "+", repeatable=True)
        return [(entry[0].decode(), entry[1][1].decode(), decompressed(entry[1][3])) for entry in entries]

    def gate(self) -> Path:
        """The path of a file that does not exist. Graphs wait for it or loop until a test creates it."""
        return self.folder / f"gate-{uuid.uuid4()}"

    async def worker_of(self, run_id: str) -> Process | None:
        """The worker that has the lease of a run."""
        name = (await self.run(run_id)).get("worker", "")
        return next((worker for worker in self.workers if worker.alive and f":{worker.pid}:" in name), None)

    async def start_stopped_processes(self) -> None:
        """Return when all workers and web processes are ready."""
        for web in self.webs:
            if not web.alive:
                web.start()
        exited = [worker for worker in self.workers if not worker.alive]
        await asyncio.gather(
            *(self.restart(worker) for worker in exited), *(web.wait_until_ready() for web in self.webs)
        )

    async def kill_workers(self) -> None:
        """Kill all workers and remove them from the cluster."""
        await asyncio.gather(*(worker.kill() for worker in self.workers))
        self.workers.clear()

    async def close(self) -> None:
        """Kill all processes that still run."""
        for process in (*self.workers, *self.webs, self.valkey):
            if process.alive:
                await process.kill()
        await self.pipeline.close()


@asynccontextmanager
async def running(
    *,
    webs: int = 0,
    workers: int = 0,
    arq_workers: int = 0,
    graphs_env: Mapping[str, str] = MappingProxyType({}),
    project: Path = CONFIG,
    redis_cluster: RedisCluster | None = None,
    shards: int = 1,
    **settings: Any,
) -> AsyncIterator[Cluster]:
    """A cluster in a temporary folder. `settings` are settings by their lower-case names; `graphs_env` are further
    environment variables, which the graphs read; `project` is the path of a langgraph.json."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-crash-"))
    variables = {variable_of(name): str(value) for name, value in settings.items()} | dict(graphs_env)
    cluster = Cluster(folder, variables, project, redis_cluster=redis_cluster, shards=shards)
    try:
        await cluster.start_valkey()
        await cluster.pipeline.open()
        await asyncio.gather(
            *(cluster.start_web() for _ in range(webs)),
            *(cluster.start_worker() for _ in range(workers)),
            *(cluster.start_arq_worker() for _ in range(arq_workers)),
        )
        yield cluster
    finally:
        await cluster.close()
        shutil.rmtree(folder, ignore_errors=True)
