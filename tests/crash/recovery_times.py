"""How soon runs continue after their worker was killed during a soak, and what they waited for.

All times are from the SIGKILL. The log of a worker says when the run was reclaimed, the `metadata` event of the next
attempt says when that was claimed, and an effect says when a node of it started. A run continues when its next attempt
is claimed: if that worker is killed too, a new recovery begins.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from tests.crash.effects import Effect

SLOW_S: Final = 1.0
"""A part of a recovery that takes longer than this is named as what the run waited for."""


@dataclass(frozen=True, slots=True)
class KilledAttempt:
    """An attempt that held the lease of its run when its worker was killed. `killed_at` is in seconds since 1970."""

    run_id: str
    attempt: int
    killed_at: float


@dataclass(frozen=True, slots=True)
class Recovery:
    """How one killed attempt was followed by the next, in seconds since the kill. `started_s` is None if the worker of
    the next attempt was killed, too, before a node started. `valkey_killed`: Valkey was restarted meanwhile."""

    reclaimed_s: float
    claimed_s: float
    started_s: float | None
    valkey_killed: bool

    @property
    def waited_for(self) -> str:
        """What the run waited for, beside its lease."""
        if self.claimed_s - self.reclaimed_s > SLOW_S:
            return "a worker that may claim it"
        if self.valkey_killed:
            return "its lease, while Valkey was restarted"
        return "its lease"


async def attempts_of(pipeline: Pipeline, shards: Shards, pid: int, killed_at: float) -> list[KilledAttempt]:
    """The attempts whose leases the killed process holds."""
    leases = await asyncio.gather(
        *(pipeline.send("ZRANGE", keys.leases, 0, -1, repeatable=True) for keys in shards.threads)
    )
    killed = []
    for member in itertools.chain.from_iterable(leases):
        run_id, keys = member.decode(), shards.records
        worker, attempt = await pipeline.send("HMGET", keys.run(run_id), "worker", "attempt", repeatable=True)
        if worker is not None and f":{pid}:" in worker.decode():
            killed.append(KilledAttempt(run_id, int(attempt), killed_at))
    return killed


def reclaim_times(logs: Iterable[Path]) -> dict[tuple[str, int], float]:
    """When a worker reclaimed each attempt (s since 1970), by run id and attempt."""
    times: dict[tuple[str, int], float] = {}
    for log in logs:
        for line in log.read_text().splitlines():
            if '"reaper.run_reclaimed"' in line:
                entry = json.loads(line)
                times[entry["run"], int(entry["attempt"])] = datetime.fromisoformat(entry["timestamp"]).timestamp()
    return times


def recoveries_of(
    killed: Sequence[KilledAttempt],
    effects: Sequence[Effect],
    claims: Sequence[float],
    reclaims: Mapping[tuple[str, int], float],
    kills_of_valkey: Sequence[float],
) -> list[Recovery]:
    """The recoveries of one run. `claims` are the times of its `metadata` events."""
    recoveries = []
    for each in killed:
        claimed_at = min((at for at in claims if at > each.killed_at), default=None)
        if claimed_at is None:
            continue  # it was not executed again
        started = [effect.at for effect in effects if effect.attempt == each.attempt + 1]
        reclaimed_at = reclaims.get((each.run_id, each.attempt), claimed_at)
        recoveries.append(
            Recovery(
                min(reclaimed_at, claimed_at) - each.killed_at,
                claimed_at - each.killed_at,
                min(started) - each.killed_at if started else None,
                any(each.killed_at < at < claimed_at for at in kills_of_valkey),
            )
        )
    return recoveries


def recovery_table(recoveries: Sequence[Recovery]) -> list[tuple[str, str]]:
    """The rows of a report: name and value."""
    rows = [("attempts that were killed and continued", str(len(recoveries)))]
    parts = {
        "reclaimed after": [each.reclaimed_s for each in recoveries],
        "continued after": [each.claimed_s for each in recoveries],
        "a node started after": [each.started_s for each in recoveries if each.started_s is not None],
    }
    rows += [(f"  {name}", _percentiles(values)) for name, values in parts.items() if values]
    reasons: dict[str, list[float]] = defaultdict(list)
    for each in recoveries:
        reasons[each.waited_for].append(each.claimed_s)
    rows += [
        (f"  waited for {name}", f"{len(values)}: {_percentiles(values)}")
        for name, values in sorted(reasons.items(), key=lambda item: -len(item[1]))
    ]
    return rows


def _percentiles(values: Sequence[float]) -> str:
    ordered = sorted(values)
    p95 = ordered[min(int(0.95 * len(ordered)), len(ordered) - 1)]
    return f"p50 {statistics.median(values):.1f} s, p95 {p95:.1f} s, max {ordered[-1]:.1f} s"
