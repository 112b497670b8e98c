"""What Redis spends on runs: CPU of its main thread, script calls, and commands inside scripts."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from tests.bench.figures import Figure
from tests.bench.monitor import script_names
from tests.bench.setup import Bench

_SCRIPT_CALLS: Final = frozenset({"evalsha", "eval"})
_SENT_BY_CLIENTS: Final = _SCRIPT_CALLS | {
    *("blpop", "client|setname", "config|set", "echo", "info", "memory|usage", "ping", "slowlog|get", "slowlog|reset"),
    *("subscribe", "unsubscribe"),
}
"""Commands that no script executes. The few other commands that clients send are counted as commands of scripts."""

_LOGGED_FROM_US: Final = 15
"""Few commands inside scripts last so long, and almost all scripts do."""


@dataclass(frozen=True, slots=True)
class RedisUse:
    """Counters of the server since its start."""

    cpu_ms: float
    """CPU of the main thread, which executes all commands."""
    script_calls: int
    script_ms: float
    """Time in scripts with their commands. The thread may also have waited for a core."""
    inner_commands: int

    def figures(self, before: RedisUse, runs: int, run: str) -> list[Figure]:
        """What was spent since `before` on each of `runs`. `run` names one of them."""
        return [
            Figure(f"{run}, CPU of Redis", (self.cpu_ms - before.cpu_ms) / runs, "ms", goal=0.3),
            Figure(f"{run}, time in scripts", (self.script_ms - before.script_ms) / runs, "ms"),
            Figure(f"{run}, script calls", (self.script_calls - before.script_calls) / runs, ""),
            Figure(f"{run}, commands in scripts", (self.inner_commands - before.inner_commands) / runs, ""),
        ]


async def redis_use(bench: Bench) -> RedisUse:
    """The counters now. Raises `NeedsOwnServer`."""
    cpu, commands = await bench.info("cpu"), await bench.info("commandstats")
    calls = {name.removeprefix("cmdstat_"): _stats(text) for name, text in commands.items()}
    scripts = [calls[name] for name in _SCRIPT_CALLS & calls.keys()]
    return RedisUse(
        cpu_ms=sum(float(cpu[f"used_cpu_{mode}_main_thread"]) for mode in ("user", "sys")) * 1000,
        script_calls=sum(int(script["calls"]) for script in scripts),
        script_ms=sum(float(script["usec"]) for script in scripts) / 1000,
        inner_commands=sum(int(calls[name]["calls"]) for name in calls.keys() - _SENT_BY_CLIENTS),
    )


def _stats(text: str) -> Mapping[str, str]:
    return dict(part.split("=") for part in text.split(","))


async def time_by_script(bench: Bench, execute: Callable[[], Awaitable[Any]]) -> dict[str, float]:
    """The median time in µs of one call of each script, while `execute` runs."""
    redis, names, times = bench.own_redis(), script_names(), defaultdict[str, list[int]](list)
    async with _slow_log(bench):
        await execute()
    for entry in await redis.send("SLOWLOG", "GET", -1, repeatable=True):
        command, *words = entry[3]
        if command.lower() == b"evalsha":
            times[names.get(words[0].decode(), "another script")].append(entry[2])
    return {name: statistics.median(each) for name, each in times.items()}


@asynccontextmanager
async def _slow_log(bench: Bench) -> AsyncIterator[None]:
    """The server logs the duration of each script. The log itself costs it a few µs for each."""
    redis = bench.own_redis()
    await redis.send("CONFIG", "SET", "slowlog-max-len", 100_000)
    await redis.send("SLOWLOG", "RESET")
    await redis.send("CONFIG", "SET", "slowlog-log-slower-than", _LOGGED_FROM_US)
    try:
        yield
    finally:
        await redis.send("CONFIG", "SET", "slowlog-log-slower-than", -1)
