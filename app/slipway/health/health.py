"""Health of a deployment: whether Redis would store a new run, and whether live workers would execute it.

`HealthMonitor` measures in the background, over the connection of the process: it writes a key, reads it back and
deletes it, reads INFO and CONFIG, and counts the work. /readyz, /metrics and the admission of new runs use the latest
measurement and send no commands.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import structlog

from slipway.circuit_breakers.scripts import BreakerList, BreakerScripts
from slipway.clock import Clock
from slipway.errors import Overloaded, StoreUnavailable
from slipway.graph_versions.record import Lane
from slipway.health.findings import Finding, Level
from slipway.health.reads import HealthReads, Probe
from slipway.health.scripts import HealthScripts, WaitingForPeople, Workload
from slipway.health.server_info import ServerInfo, read_server_info
from slipway.redis.connection import reply_error
from slipway.redis.layout import LayoutRecord
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.rollouts.counts import RampCounts
from slipway.rollouts.record import Rollout
from slipway.rollouts.scripts import RolloutScripts
from slipway.settings import Settings
from slipway.switches.record import OffSwitches
from slipway.switches.scripts import SwitchScripts

log = structlog.get_logger(__name__)

EVERY_S: Final = 2.0
RECHECK_S: Final = 0.5
"""The interval in seconds while a finding is an error, or while memory is within `NEAR_HIGH_WATER` of the high-water
mark."""

NEAR_HIGH_WATER: Final = 0.1
SLOW_MS: Final = 250.0
"""Milliseconds of a probe above which a warning is raised."""

LATE_S: Final = 60.0
"""Seconds for which a job has been due above which a warning is raised."""

NEWER_LAYOUT: Final = "redis.layout"
"""The code of the finding that a later release has upgraded the data: see `slipway.redis.layout`."""

REDIS_UNAVAILABLE: Final = "redis.unavailable"
"""The code of the finding that Redis does not reply."""

_WITHIN_S: Final = 2.0
_PROBE_TTL_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class Health:
    """One measurement. A value that could not be measured is None, and `findings` has the reason."""

    measured_at: datetime
    findings: tuple[Finding, ...]
    probe_ms: float | None = None
    server: ServerInfo | None = None
    work: Workload | None = None
    breakers: BreakerList | None = None
    switches: OffSwitches | None = None
    waiting: WaitingForPeople | None = None
    rollouts: Sequence[tuple[Rollout, RampCounts]] | None = None
    """Each with what was counted, if a version is ramping."""

    @property
    def ready(self) -> bool:
        """Whether a run that is created now would be stored."""
        return all(finding.level is not Level.ERROR for finding in self.findings)

    @property
    def workers(self) -> int | None:
        """The number of live workers."""
        return None if self.work is None else self.work.workers

    @property
    def queued(self) -> int | None:
        """The number of jobs, due or not."""
        return None if self.work is None else self.work.due + self.work.later

    @property
    def memory_ratio(self) -> float | None:
        """The used part of the server's memory, between 0 and 1. None if the server has no limit."""
        return None if self.server is None else self.server.memory_ratio

    @property
    def services(self) -> dict[str, str]:
        """`up`, `down` or `unknown` for Redis and for the workers: a part of the body of /ok."""
        if any(finding.code == REDIS_UNAVAILABLE for finding in self.findings):
            return {"redis": "down", "workers": "unknown"}
        if self.work is None:
            return {"redis": "unknown", "workers": "unknown"}
        return {"redis": "up", "workers": "up" if self.work.workers else "down"}

    def public(self) -> dict[str, Any]:
        """The body of /readyz."""
        work = self.work
        return {
            "ready": self.ready,
            "workers": self.workers,
            "queued": self.queued,
            "leases": None if work is None else work.leases,
            "oldest_due_s": None if work is None else work.oldest_due_s,
            "probe_ms": self.probe_ms,
            "server": None if self.server is None else self.server.public(),
            "findings": [finding.public() for finding in self.findings],
            "measured_at": self.measured_at.isoformat(timespec="milliseconds"),
        }


class HealthMonitor:
    """Measures at an interval and caches the latest measurement. Its only finding is `health.unknown` until `measure`
    was called."""

    def __init__(
        self, pipeline: Pipeline, shards: Shards, settings: Settings, clock: Clock, graph_ids: Sequence[str] = ()
    ) -> None:
        """`graph_ids` are the graphs whose reviews are counted."""
        self._pipeline, self._clock, self._graph_ids = pipeline, clock, graph_ids
        self._layout = LayoutRecord(pipeline, shards)
        self._scripts, self._probe = HealthScripts(pipeline, shards), Probe(pipeline, shards.processes)
        self._reads, self._breakers = HealthReads(pipeline, shards), BreakerScripts(pipeline, shards.processes)
        self._switches, self._rollouts = SwitchScripts(pipeline, shards), RolloutScripts(pipeline, shards)
        self._process = secrets.token_hex(8)
        self._lease_ms, self._high_water = int(settings.lease_s * 1000), settings.redis_high_water
        self._last = Health(clock.now(), (Finding("health.unknown", Level.ERROR, "nothing was measured yet"),))

    @property
    def latest(self) -> Health:
        """The latest measurement, with a finding if the connection was lost since."""
        if self._pipeline.connected or not self._last.ready:
            return self._last
        findings = (finding for finding in self._last.findings if finding.level is not Level.OK)
        return replace(self._last, findings=(_redis_unavailable("the connection is lost"), *findings))

    async def run(self) -> None:
        """Measures until it is cancelled, and logs each finding that is raised or cleared."""
        while True:
            ratio = self._last.memory_ratio
            near = ratio is not None and ratio > self._high_water - NEAR_HIGH_WATER
            await self._clock.sleep(RECHECK_S if near or not self._last.ready else EVERY_S)
            await self.measure()

    async def measure(self) -> Health:
        """Measures within `_WITHIN_S` seconds. Never raises: an unavailable Redis or an error is a finding."""
        before, self._last = self._last, await self._reading()
        known = {finding.code for finding in before.findings}
        codes = {finding.code for finding in self._last.findings}
        for finding in self._last.findings:
            if finding.code not in known and finding.level is not Level.OK:
                log.warning(
                    "health.finding_raised", code=finding.code, severity=finding.level.value, problem=finding.detail
                )
        if cleared := sorted(known - codes - {"health.unknown", "ok"}):
            log.info("health.finding_cleared", codes=cleared)
        return self._last

    def check_layout(self) -> None:
        """Raises `StoreUnavailable` if a later release has upgraded the data, because this process would write an
        older layout."""
        if (newer := next((each for each in self._last.findings if each.code == NEWER_LAYOUT), None)) is not None:
            raise StoreUnavailable(newer.detail)

    async def _reading(self) -> Health:
        measured_at = self._clock.now()
        try:
            async with asyncio.timeout(_WITHIN_S):
                probe, server, work, layout, arq_fault, breakers, switches, waiting, rollouts = await asyncio.gather(
                    self._measure_probe(),
                    read_server_info(self._pipeline),
                    self._scripts.workload(self._lease_ms),
                    self._layout.problem(),
                    self._reads.arq_fault(),
                    self._breakers.list_all(),
                    self._switches.read(),
                    self._scripts.waiting_for_people(self._graph_ids),
                    self._rollouts.with_counts(),
                    return_exceptions=True,
                )
        except TimeoutError:
            return Health(measured_at, (_redis_unavailable(f"no answer within {_WITHIN_S:g} s"),))
        findings = [*self._of_probe(probe), *self._of_server(server)]
        if isinstance(layout, str):
            findings.append(Finding(NEWER_LAYOUT, Level.ERROR, layout))
        if isinstance(arq_fault, str):
            findings.append(_arq_failing(arq_fault))
        if isinstance(probe, float):  # if writes fail, no worker can send a heartbeat
            findings += self._of_work(work)
        if isinstance(breakers, BreakerList):
            findings += _of_breakers(breakers)
        if isinstance(switches, OffSwitches):
            findings += _of_switches(switches)
        for broken in (probe, server, work, layout, arq_fault, breakers, switches, waiting, rollouts):
            if isinstance(broken, BaseException) and not isinstance(broken, StoreUnavailable):
                log.warning("health.check_failed", problem=f"{type(broken).__name__}: {broken}")
                findings.append(Finding("health.broken", Level.ERROR, f"{type(broken).__name__}; the log has details"))
        if not findings:
            findings.append(Finding("ok", Level.OK, "Redis and workers are ready for new runs"))
        return Health(
            measured_at,
            tuple(dict.fromkeys(findings)),
            probe_ms=probe if isinstance(probe, float) else None,
            server=server if isinstance(server, ServerInfo) else None,
            work=work if isinstance(work, Workload) else None,
            breakers=breakers if isinstance(breakers, BreakerList) else None,
            switches=switches if isinstance(switches, OffSwitches) else None,
            waiting=waiting if isinstance(waiting, WaitingForPeople) else None,
            rollouts=rollouts if isinstance(rollouts, list) else None,
        )

    async def _measure_probe(self) -> float | Finding:
        """The milliseconds that it takes to write a key, read it and delete it, with one write to the socket. A finding
        if that fails."""
        token, began = secrets.token_hex(8), self._clock.monotonic()
        replies = await self._probe.replies(self._process, token, _PROBE_TTL_MS)
        took_ms = round((self._clock.monotonic() - began) * 1000, 3)
        if (error_reply := next((reply for reply in replies if isinstance(reply, BaseException)), None)) is not None:
            if isinstance(error_reply, StoreUnavailable) or reply_error(error_reply) is not None:
                detail = f"a key cannot be written, read and deleted: {_briefly(error_reply)}"
                return Finding("redis.rejects_writes", Level.ERROR, detail)
            raise error_reply
        if replies[1] != token.encode():
            detail = "a key was written and read back with another value: another program may use this key prefix"
            return Finding("redis.wrong_value", Level.ERROR, detail)
        return took_ms

    @staticmethod
    def _of_probe(probe: object) -> list[Finding]:
        if isinstance(probe, Finding):
            return [probe]
        if isinstance(probe, float) and probe > SLOW_MS:
            detail = f"writing, reading and deleting a key takes {probe:.0f} ms: check the server's load and distance"
            return [Finding("redis.slow", Level.WARNING, detail)]
        return []

    def _of_server(self, facts: object) -> list[Finding]:
        if not isinstance(facts, ServerInfo):
            return [_redis_unavailable(str(facts))] if isinstance(facts, StoreUnavailable) else []
        ratio = facts.memory_ratio
        if ratio is None or ratio <= self._high_water:
            return facts.findings()
        detail = f"{Overloaded.sentence(ratio, self._high_water)}: delete threads, or give the server more memory"
        return [*facts.findings(), Finding("memory.high", Level.WARNING, detail)]

    @staticmethod
    def _of_work(work: object) -> list[Finding]:
        if not isinstance(work, Workload):
            return []
        findings = []
        if not work.workers:
            detail = "no live worker: new runs are stored and wait; start `slipway worker`"
            findings.append(Finding("workers.none", Level.WARNING, detail))
        elif work.oldest_due_s > LATE_S:
            detail = f"a job has been due for {work.oldest_due_s:.0f} s: start more workers, or run `slipway doctor`"
            findings.append(Finding("queue.late", Level.WARNING, detail))
        return [*findings, *_of_lanes(work.lanes)]


def _briefly(error_reply: BaseException) -> str:
    """The first word of an error of Redis, such as `NOPERM`. The rest may name users and hosts, and /readyz is
    public."""
    if isinstance(error_reply, StoreUnavailable):
        return str(error_reply)
    log.warning("health.probe_failed", problem=str(error_reply))
    return str(error_reply).partition(" ")[0]


def _of_breakers(breakers: BreakerList) -> list[Finding]:
    """Without names, because /readyz is public."""
    number = sum(each.state != "closed" for each in breakers.breakers)
    if not number:
        return []
    are = "1 circuit breaker is" if number == 1 else f"{number} circuit breakers are"
    detail = f"{are} open, so calls of models or tools are not made: GET /ops/breakers names them"
    return [Finding("breakers.open", Level.WARNING, detail)]


def _of_switches(switches: OffSwitches) -> list[Finding]:
    """Without names, because /readyz is public."""
    number = len(switches.all())
    if not number:
        return []
    what = "1 switch is" if number == 1 else f"{number} switches are"
    return [Finding("switches.off", Level.WARNING, f"{what} off, so runs pause: `slipway switches` lists them")]


def _of_lanes(lanes: Sequence[Lane]) -> list[Finding]:
    """Without names, because /readyz is public."""
    unserved = [lane for lane in lanes if not lane.is_served]
    if not unserved:
        return []
    runs = sum(lane.jobs for lane in unserved)
    what = "1 run waits" if runs == 1 else f"{runs} runs wait"
    detail = f"{what} for versions of graphs that no live worker serves: `slipway versions` lists them"
    return [Finding("versions.unserved", Level.WARNING, detail)]


def _arq_failing(worker: str) -> Finding:
    detail = f"jobs of slipway.arq do not execute in the worker {worker}: its log has the reason (arq.failed)"
    return Finding("arq.failing", Level.WARNING, detail)


def _redis_unavailable(why: str) -> Finding:
    return Finding(REDIS_UNAVAILABLE, Level.ERROR, f"Redis does not reply: {why}; requests that need it get 503")
