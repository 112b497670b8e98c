"""Reads INFO and CONFIG of the Redis server, and reports settings and states with which runs can be lost: eviction,
missing persistence, a replica.

A managed server may reject CONFIG or omit lines of INFO. Such a value is None here and gives no finding.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import hiredis

from slipway.health.findings import Finding, Level
from slipway.redis.pipeline import Pipeline

OLDEST: Final = (6, 2)
"""The oldest version of Redis that has all commands that Slipway uses. Valkey reports Redis 7.2 or later."""

LAG_S: Final = 10
"""Seconds since the last acknowledgement of a replica above which a warning is raised."""

_CONFIG: Final = ("maxmemory-policy", "appendonly", "save")


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """The values that the server reports. None means that it does not report the value. `used_bytes` is what the server
    compares with `max_bytes`, where 0 means no limit. `lag_s` and `lag_bytes` belong to the slowest replica."""

    version: str | None = None
    loading: bool | None = None
    append_only: bool | None = None
    append_ok: bool | None = None
    rewrite_ok: bool | None = None
    snapshots: bool | None = None
    snapshot_ok: bool | None = None
    eviction: str | None = None
    used_bytes: int | None = None
    max_bytes: int | None = None
    replica: bool | None = None
    primary_link: bool | None = None
    replicas: int | None = None
    lag_s: int | None = None
    lag_bytes: int | None = None

    @property
    def memory_ratio(self) -> float | None:
        """The used part of the server's memory, between 0 and 1. None if the server has no limit."""
        if self.used_bytes is None or not self.max_bytes:
            return None
        return self.used_bytes / self.max_bytes

    def findings(self) -> list[Finding]:
        """All problems of the server, in no particular order."""
        return [*self._age(), *self._eviction(), *self._persistence(), *self._replication()]

    def _age(self) -> list[Finding]:
        if self.version is None or _numbers(self.version) >= OLDEST:
            return []
        detail = f"Redis {self.version} is too old: use Redis 6.2, Valkey 7.2 or later"
        return [Finding("redis.version", Level.ERROR, detail)]

    def _eviction(self) -> list[Finding]:
        if self.eviction in (None, "noeviction"):
            return []
        lost = "the logs of finished runs" if str(self.eviction).startswith("volatile") else "runs and checkpoints"
        detail = f"Redis evicts {lost} when it is full (maxmemory-policy {self.eviction}): set it to noeviction"
        return [Finding("redis.evicts", Level.ERROR, detail)]

    def _persistence(self) -> list[Finding]:
        if self.loading:
            return [Finding("redis.loading", Level.ERROR, "Redis is loading its data: wait until it has finished")]
        if self.append_only:
            return self._append_only()
        if self.snapshot_ok is False:
            detail = "the last snapshot failed (rdb_last_bgsave_status): free disk or memory on the server, see its log"
            return [Finding("redis.snapshot_failed", Level.ERROR, detail)]
        if self.append_only is None:
            return []
        if self.snapshots is False:
            detail = "a restart of Redis loses everything: set appendonly yes"
            return [Finding("redis.volatile", Level.WARNING, detail)]
        detail = "a crash of Redis loses all writes after its last snapshot: set appendonly yes"
        return [Finding("redis.snapshots_only", Level.WARNING, detail)]

    def _append_only(self) -> list[Finding]:
        findings = []
        if self.append_ok is False:
            detail = "Redis cannot write its append-only file (aof_last_write_status): free disk on the server"
            findings.append(Finding("redis.append_failed", Level.ERROR, detail))
        if self.rewrite_ok is False:
            detail = (
                "the append-only file could not be rewritten (aof_last_bgrewrite_status) and keeps growing: free disk"
            )
            findings.append(Finding("redis.rewrite_failed", Level.WARNING, detail))
        return findings

    def _replication(self) -> list[Finding]:
        if self.replica:
            state = "" if self.primary_link is not False else " and has lost its primary"
            detail = f"this Redis is a replica{state}: REDIS_URL must lead to the primary"
            return [Finding("redis.replica", Level.ERROR, detail)]
        if self.replicas and self.lag_s is not None and self.lag_s > LAG_S:
            detail = (
                f"a replica is {self.lag_s} s and {self.lag_bytes} bytes behind: a failover would lose these writes"
            )
            return [Finding("redis.replica_behind", Level.WARNING, detail)]
        return []

    def public(self) -> dict[str, Any]:
        """The member `server` of /readyz."""
        ratio = self.memory_ratio
        return {
            "version": self.version,
            "append_only": self.append_only,
            "append_ok": self.append_ok,
            "rewrite_ok": self.rewrite_ok,
            "snapshots": self.snapshots,
            "snapshot_ok": self.snapshot_ok,
            "eviction": self.eviction,
            "used_bytes": self.used_bytes,
            "max_bytes": self.max_bytes,
            "memory_ratio": None if ratio is None else round(ratio, 4),
            "replicas": self.replicas,
            "replication_lag_s": self.lag_s,
        }


async def read_server_info(pipeline: Pipeline) -> ServerInfo:
    """Takes one round trip. A value that the server does not report is None. Of a cluster, each value is that of the
    server where it is worst. Raises `StoreUnavailable`."""
    return worst_of(await asyncio.gather(*map(_read_one, pipeline.servers.values())))


def worst_of(servers: Sequence[ServerInfo]) -> ServerInfo:
    """What is worst of these servers in each respect. A value is None if one of them does not report it."""
    if len(servers) == 1:
        return servers[0]
    fullest = max(servers, key=lambda each: each.memory_ratio or 0)
    slowest = max(servers, key=lambda each: each.lag_s or 0)
    versions = [each.version for each in servers if each.version is not None]
    replicas = [each.replicas for each in servers if each.replicas is not None]
    return ServerInfo(
        version=min(versions, key=_numbers, default=None),
        loading=_any(each.loading for each in servers),
        append_only=_all(each.append_only for each in servers),
        append_ok=_all(each.append_ok for each in servers),
        rewrite_ok=_all(each.rewrite_ok for each in servers),
        snapshots=_all(each.snapshots for each in servers),
        snapshot_ok=_all(each.snapshot_ok for each in servers),
        eviction=next((each.eviction for each in servers if each.eviction != "noeviction"), "noeviction"),
        used_bytes=fullest.used_bytes,
        max_bytes=fullest.max_bytes,
        replica=_any(each.replica for each in servers),
        primary_link=_all(each.primary_link for each in servers),
        replicas=min(replicas, default=None),
        lag_s=slowest.lag_s,
        lag_bytes=slowest.lag_bytes,
    )


def _any(values: Iterable[bool | None]) -> bool | None:
    """True if one is, else None if one is unknown."""
    known = list(values)
    return True if True in known else (None if None in known else False)


def _all(values: Iterable[bool | None]) -> bool | None:
    """False if one is, else None if one is unknown."""
    known = list(values)
    return False if False in known else (None if None in known else True)


async def _read_one(pipeline: Pipeline) -> ServerInfo:
    replies = [
        pipeline.send("INFO", repeatable=True),
        *(pipeline.send("CONFIG", "GET", name, repeatable=True) for name in _CONFIG),
    ]
    info, *parameters = await asyncio.gather(*replies, return_exceptions=True)
    return server_info_from(
        _lines(_reply_or_none(info)), dict(filter(None, (_parameter(_reply_or_none(each)) for each in parameters)))
    )


async def read_info(pipeline: Pipeline) -> dict[str, str]:
    """The lines of INFO; empty if the server forbids it. Of a cluster, those of one server. Raises
    `StoreUnavailable`."""
    try:
        return _lines(await _one_of(pipeline).send("INFO", repeatable=True))
    except hiredis.ReplyError:
        return {}


async def read_parameter(pipeline: Pipeline, name: str) -> str | None:
    """A parameter of the server; None if it has none of this name, or forbids CONFIG. Of a cluster, that of one server.
    Raises `StoreUnavailable`."""
    try:
        parameter = _parameter(await _one_of(pipeline).send("CONFIG", "GET", name, repeatable=True))
    except hiredis.ReplyError:
        return None
    return None if parameter is None else parameter[1]


def _one_of(pipeline: Pipeline) -> Pipeline:
    servers = pipeline.servers
    return servers[min(servers)]


def _reply_or_none(reply: Any) -> Any:
    """The reply. None if the server rejected the command. Raises any other error."""
    if isinstance(reply, hiredis.ReplyError):
        return None
    if isinstance(reply, BaseException):
        raise reply
    return reply


def _parameter(reply: Any) -> tuple[str, str] | None:
    return (reply[0].decode(), reply[1].decode()) if reply else None


def _lines(info: bytes | str | None) -> dict[str, str]:
    text = info.decode() if isinstance(info, bytes) else info or ""
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def server_info_from(info: Mapping[str, str], config: Mapping[str, str]) -> ServerInfo:
    """Built from the lines of INFO and the parameters of CONFIG GET. A value that is missing in both is None."""
    used, not_counted = _as_int(info.get("used_memory")), _as_int(info.get("mem_not_counted_for_evict")) or 0
    lag_s, lag_bytes = _lag(info)
    link = info.get("master_link_status")
    return ServerInfo(
        version=info.get("redis_version"),
        loading=_is(info.get("loading"), "1"),
        append_only=_either(_is(info.get("aof_enabled"), "1"), _is(config.get("appendonly"), "yes")),
        append_ok=_is(info.get("aof_last_write_status"), "ok"),
        rewrite_ok=_is(info.get("aof_last_bgrewrite_status"), "ok"),
        snapshots=None if "save" not in config else bool(config["save"]),
        snapshot_ok=_is(info.get("rdb_last_bgsave_status"), "ok"),
        eviction=info.get("maxmemory_policy") or config.get("maxmemory-policy"),
        used_bytes=None if used is None else max(used - not_counted, 0),
        max_bytes=_as_int(info.get("maxmemory")),
        replica=_is(info.get("role"), "slave"),
        primary_link=_is(link, "up"),
        replicas=_as_int(info.get("connected_slaves")),
        lag_s=lag_s,
        lag_bytes=lag_bytes,
    )


def _lag(info: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Seconds and bytes of the slowest replica."""
    end = _as_int(info.get("master_repl_offset")) or 0
    behind = []
    for number in range(_as_int(info.get("connected_slaves")) or 0):
        replica = dict(part.split("=", 1) for part in info.get(f"slave{number}", "").split(",") if "=" in part)
        if replica:
            behind.append((_as_int(replica.get("lag")) or 0, end - (_as_int(replica.get("offset")) or end)))
    return max(behind, default=(None, None), key=lambda pair: pair[0] or 0)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _is(value: str | None, expected: str) -> bool | None:
    return None if value is None else value == expected


def _either(first: bool | None, second: bool | None) -> bool | None:
    return second if first is None else first


def _as_int(value: str | None) -> int | None:
    return int(value) if value is not None and value.lstrip("-").isdigit() else None
