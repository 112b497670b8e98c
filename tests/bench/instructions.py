"""`python -m tests.bench.instructions [OTHER]` counts the instructions that the CPU executes for a small waited run and
for a superstep, in the web process, the worker and Valkey.

The processes run under `valgrind --tool=callgrind`. Two counts differ by about one percent, where CPU times differ by
ten. It makes the processes about 50 times slower, so timers would count for more than they cost: what the processes do
while they have no run is measured too, and subtracted, and short delays are longer (`without_delays.py`). OTHER is the
directory of another checkout with an environment in `.venv`, for example the code before a change; it is measured after
this one.

`--dumps DIRECTORY` keeps callgrind's counts by function of C (`callgrind_annotate FILE`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

import uvloop

from slipway.processes.embedded_valkey import EmbeddedServer
from slipway.processes.valkey_program import valkey_program
from tests.bench.client import Connection, RequestFailed, connections, new_thread, run_of, wait_small
from tests.bench.figures import rounded
from tests.bench.setup import CONFIG
from tests.environment import bare_environment, free_port

PROCESSES: Final = ("web", "worker", "valkey")
STEPS: Final = (20, 120)
"""The supersteps of the two loops whose difference is counted."""

_SETTINGS: Final = {
    "SLIPWAY_LEASE_S": "300",
    "SLIPWAY_HEARTBEAT_S": "60",
    "SLIPWAY_REAP_EVERY_S": "60",
    "SLIPWAY_RECONCILE_EVERY_S": "300",
    "SLIPWAY_REDIS_PATIENCE_WEB_S": "60",
    "PYTHONHASHSEED": "0",
}
"""Under valgrind, everything is late."""
_IDLE_S: Final = 4.0
_READY_WITHIN_S: Final = 180.0
_WARM_UP_RUNS: Final = 30

Counts = dict[str, float]
"""Instructions by process."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A process under valgrind."""

    name: str
    process: asyncio.subprocess.Process
    dumps: Path

    async def control(self, command: str) -> None:
        """Sends a command to valgrind, which executes it at once."""
        vgdb = await asyncio.create_subprocess_exec(
            *("vgdb", f"--pid={self.process.pid}", *command.split()),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed, _ = await vgdb.communicate()
        if vgdb.returncode:
            raise RequestFailed(f"vgdb {command} failed for the {self.name} process: {printed.decode()}")

    async def count(self, title: str) -> int:
        """The instructions since the last call."""
        earlier = set(self.dumps.glob("*"))
        await self.control(f"dump {title}")
        (dump,) = {path for path in self.dumps.glob("*") if path.stat().st_size} - earlier
        text = dump.read_text()
        dump.rename(dump.with_name(f"{self.name}.{title}"))
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("totals:"))


class Servers:
    """The processes of one checkout."""

    def __init__(self, counted: Sequence[Counted], client: Connection) -> None:
        self._counted, self._client = counted, client
        self._idle_per_s: Counts = {}

    async def measure(self, runs: int) -> dict[str, Counts]:
        """The instructions of a waited run and of a superstep."""
        await self._runs(_WARM_UP_RUNS)
        await self._loop(STEPS[0])
        for each in self._counted:
            await each.control("instrumentation on")
        await self._runs(_WARM_UP_RUNS)
        await self._loop(STEPS[0])
        idle, took_s = await self._count("idle", lambda: asyncio.sleep(_IDLE_S))
        self._idle_per_s = {name: count / took_s for name, count in idle.items()}
        waited = await self._busy("waited", lambda: self._runs(runs))
        fewer, more = [await self._busy(f"loop{steps}", partial(self._loop, steps)) for steps in STEPS]
        return {
            "waited run": {name: count / runs for name, count in waited.items()},
            "superstep": {name: (more[name] - fewer[name]) / (STEPS[1] - STEPS[0]) for name in waited},
        }

    async def _busy(self, title: str, work: Callable[[], Awaitable[None]]) -> Counts:
        counts, took_s = await self._count(title, work)
        return {name: count - self._idle_per_s[name] * took_s for name, count in counts.items()}

    async def _count(self, title: str, work: Callable[[], Awaitable[None]]) -> tuple[Counts, float]:
        for each in self._counted:
            await each.control("zero")
        started = time.monotonic()
        await work()
        took_s = time.monotonic() - started
        return {each.name: await each.count(title) for each in self._counted}, took_s

    async def _runs(self, count: int) -> None:
        for _ in range(count):
            await wait_small(self._client)

    async def _loop(self, steps: int) -> None:
        request = run_of("loop", {"count": 0, "until": steps}, config={"recursion_limit": steps + 10})
        await self._client.post(f"{new_thread()}/runs/wait", request)


@contextlib.asynccontextmanager
async def serving(
    python: Path, dumps: Path, names: Sequence[str], variables: Mapping[str, str]
) -> AsyncIterator[Servers]:
    """The processes of the environment of `python`, with further variables; those in `names` are under valgrind."""
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        server, port = EmbeddedServer(Path(folder)), free_port()
        options = ("--port", "0", "--unixsocket", server.url.removeprefix("unix://"), "--dir", folder)
        slipway = (str(python), "-P", str(Path(__file__).with_name("without_delays.py")))
        commands = {
            "valkey": (str(valkey_program()), *options, "--appendonly", "yes", "--save", ""),
            "web": (*slipway, "web", "--config", str(CONFIG), "--port", str(port)),
            "worker": (*slipway, "worker", "--config", str(CONFIG), "--processes", "1"),
        }
        env = {**bare_environment(), **_SETTINGS, **variables, "SLIPWAY_REDIS_URL": server.url}
        started: list[Counted] = []
        try:
            for name, command in commands.items():
                started.append(await _started(name, command, env, dumps, counted=name in names))
                if name == "valkey":
                    await server.wait_until_ready()
            async with _client(port, started[1].process) as client:
                yield Servers([each for each in started if each.name in names], client)
        finally:
            for each in reversed(started):
                await _stop(each.process)


async def _started(name: str, command: tuple[str, ...], env: dict[str, str], dumps: Path, *, counted: bool) -> Counted:
    own = dumps / name
    own.mkdir(parents=True)
    valgrind = ("valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={own}/dump")
    with (own.parent / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(*(valgrind if counted else ()), *command), stdout=log, stderr=log, env=env
        )
    return Counted(name, process, own)


@contextlib.asynccontextmanager
async def _client(port: int, web: asyncio.subprocess.Process) -> AsyncIterator[Connection]:
    """A connection to the web process, when it serves."""
    deadline = time.monotonic() + _READY_WITHIN_S
    async with contextlib.AsyncExitStack() as stack:
        while True:
            if web.returncode is not None:
                raise RequestFailed("the web process has exited")
            try:
                (client,) = await stack.enter_async_context(connections(f"http://127.0.0.1:{port}", 1))
                break
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)
        yield client


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
        await process.wait()


async def counts_of(
    checkout: Path,
    dumps: Path,
    names: Sequence[str],
    runs: int,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Counts]:
    """The instructions of the code in the directory `checkout`, whose processes have these environment variables.
    Needs valgrind; `dumps` is a new or an empty directory."""
    async with serving(checkout / ".venv" / "bin" / "python", dumps, names, variables) as servers:
        return await servers.measure(runs)


async def _print(other: Path | None, names: Sequence[str], runs: int, dumps: Path) -> None:
    here = Path(__file__).parent.parent.parent
    after = await counts_of(here, dumps / "this", names, runs)
    before = None if other is None else await counts_of(other, dumps / "other", names, runs)
    print_counts("other", before, "this", after)


def print_counts(before: str, counts: dict[str, Counts] | None, after: str, counts_after: dict[str, Counts]) -> None:
    """A table of two measurements with these names; without the first one, its columns are empty."""
    print(f"| thousands of instructions | {before} | {after} | {after} / {before} |\n|---|---|---|---|")
    for title, by_process in counts_after.items():
        for name, count in by_process.items():
            row = f"| {title}, {name} |"
            if counts is None:
                print(f"{row} | {rounded(count / 1000)} | |")
            else:
                old = counts[title][name]
                print(f"{row} {old / 1000:.0f} | {count / 1000:.0f} | {count / old:.3f} |")


def require_valgrind() -> None:
    """Exits where it is not installed."""
    if shutil.which("vgdb") is None:
        sys.exit("this benchmark needs valgrind")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.instructions", description="Count the instructions of a run and of a superstep."
    )
    parser.add_argument("other", type=Path, nargs="?", help="the directory of another checkout, measured as well")
    parser.add_argument("--process", action="append", choices=PROCESSES, help="default: web and worker")
    parser.add_argument("--runs", type=int, default=100, help="number of waited runs (default: 100)")
    parser.add_argument("--dumps", type=Path, help="a new directory for the counts by function")
    arguments = parser.parse_args()
    require_valgrind()
    names = arguments.process or ["web", "worker"]
    with contextlib.ExitStack() as stack:
        dumps = arguments.dumps or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slipway-counts-")))
        uvloop.run(_print(arguments.other, names, arguments.runs, dumps.resolve()))


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    main()
