"""Redis: whether it keeps what it has acknowledged, has room, is reached over TLS, and has connections left."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from typing import Final

from slipway.go_live.check import Check, Part
from slipway.go_live.inputs import Inputs
from slipway.go_live.line import Line, failed, passed, warned
from slipway.health.server_info import read_info, read_parameter
from slipway.loopback import is_loopback
from slipway.redis.connection import Address

MUCH_MEMORY: Final = 0.7
MOST_CLIENTS: Final = 0.9
SKEW_S: Final = 2.0
"""Seconds that the clock of this machine may differ from that of Redis, by which times of tokens and of signed webhooks
are compared. If both differ, one is wrong."""
LARGE_SKEW_S: Final = 60.0
_RESOLVE_WITHIN_S: Final = 3.0


async def _version(inputs: Inputs) -> Sequence[Line]:
    version = inputs.server.version
    if version is None:
        return [_unread("redis.version", "its version", "INFO")]
    if problem := _finding(inputs, "redis.version"):
        return [failed("redis.version", problem[0], problem[1])]
    return [passed("redis.version", version)]


async def _eviction(inputs: Inputs) -> Sequence[Line]:
    code, eviction = "redis.eviction", inputs.server.eviction
    if eviction is None:
        return [_unread(code, "maxmemory-policy", "CONFIG and this line of INFO")]
    if problem := _finding(inputs, "redis.evicts"):
        return [failed(code, problem[0], "CONFIG SET maxmemory-policy noeviction, or the plan's setting of this name")]
    return [passed(code, eviction)]


async def _persistence(inputs: Inputs) -> Sequence[Line]:
    """Append-only file and its fsync policy, or snapshots."""
    code, server = "redis.persistence", inputs.server
    for name in ("redis.append_failed", "redis.snapshot_failed"):
        if problem := _finding(inputs, name):
            return [failed(code, problem[0], problem[1])]
    aof_fix = "appendonly yes and appendfsync everysec in the server's configuration"
    if server.append_only is None:
        return [_unread(code, "whether an append-only file is written", "CONFIG and this line of INFO")]
    if not server.append_only:
        if server.snapshots is None:
            found = "no append-only file, and `save` could not be read because the server forbids CONFIG"
            return [warned(code, f"{found}: ask the provider what a restart loses", aof_fix)]
        if not server.snapshots:
            return [failed(code, "a restart of Redis loses everything: no append-only file, no snapshots", aof_fix)]
        return [warned(code, "a crash of Redis loses all writes after its last snapshot", aof_fix)]
    if problem := _finding(inputs, "redis.rewrite_failed"):
        return [warned(code, problem[0], problem[1])]
    fsync = await read_parameter(inputs.pipeline, "appendfsync")
    if fsync is None:
        found = "an append-only file is written; appendfsync could not be read because the server forbids CONFIG"
        return [warned(code, found, "ask the provider for appendfsync everysec or always, then accept this line")]
    if fsync == "no":
        found = "appendfsync no: a crash of the machine loses what its kernel had not written, usually 30 s"
        return [warned(code, found, "CONFIG SET appendfsync everysec")]
    loses = "nothing" if fsync == "always" else "at most about 1 s of writes"
    return [passed(code, f"append-only file, appendfsync {fsync}: a crash of the machine loses {loses}")]


async def _failover(inputs: Inputs) -> Sequence[Line]:
    code, server = "redis.failover", inputs.server
    for name in ("redis.replica", "redis.replica_behind"):
        if problem := _finding(inputs, name):
            return [(failed if name == "redis.replica" else warned)(code, *problem)]
    if server.replicas is None:
        return [_unread(code, "the number of replicas", "INFO")]
    if server.replicas == 0:
        found = (
            "no replica is connected: while the machine of Redis is down nothing works, and its disk has the only copy"
        )
        return [warned(code, found, "a replica with failover, or the plan of the provider that has one")]
    return [passed(code, f"{server.replicas} replicas, {server.lag_s} s behind")]


async def _memory(inputs: Inputs) -> Sequence[Line]:
    code, server = "redis.memory", inputs.server
    if server.max_bytes is None:
        return [_unread(code, "maxmemory", "INFO")]
    if not server.max_bytes:
        found = "maxmemory is not set: nothing rejects runs before the system ends Redis"
        return [warned(code, found, "CONFIG SET maxmemory, to 3/4 of the memory of the machine")]
    ratio = server.memory_ratio
    if ratio is None:
        return [_unread(code, "the used memory", "INFO")]
    found = f"{ratio:.0%} of {server.max_bytes / 2**20:.0f} MiB are used"
    if ratio > inputs.settings.redis_high_water:
        return [
            failed(code, f"{found}: new runs are rejected", "more memory, or shorter retention (docs/operations.md)")
        ]
    if ratio > MUCH_MEMORY:
        return [warned(code, found, "more memory, or shorter retention (docs/operations.md)")]
    return [passed(code, found)]


async def _tls(inputs: Inputs) -> Sequence[Line]:
    code, address = "redis.tls", Address(inputs.settings.redis)
    if address.path is not None:
        return [passed(code, "a socket of this machine")]
    if address.tls is not None:
        if address.tls.verify_mode is ssl.CERT_NONE:
            found = "encrypted, and every certificate is accepted: who is between may read all"
            return [warned(code, found, "SLIPWAY_REDIS_CA_FILE with the certificate of the provider's authority")]
        return [passed(code, "encrypted, and the certificate is verified")]
    if is_loopback(address.host):
        return [passed(code, "not encrypted, inside this machine")]
    fix = "a rediss:// address in SLIPWAY_REDIS_URL"
    public = await is_public(address.host)
    if public is None:
        return [warned(code, "not encrypted, and the address of the host could not be resolved", fix)]
    if public:
        return [failed(code, "not encrypted, over a public network: password, states and results can be read", fix)]
    return [warned(code, "not encrypted, inside a private network", fix)]


async def is_public(host: str) -> bool | None:
    """Whether one of the addresses of the host is a public one. None if it cannot be resolved."""
    try:
        async with asyncio.timeout(_RESOLVE_WITHIN_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError):
        return None
    return any(ipaddress.ip_address(str(each[4][0]).partition("%")[0]).is_global for each in found)


async def _connections(inputs: Inputs) -> Sequence[Line]:
    """The number of clients against the limit of the server, which plans set."""
    code, info = "redis.connections", await read_info(inputs.pipeline)
    clients, most = _number(info, "connected_clients"), _number(info, "maxclients")
    if most is None:
        text = await read_parameter(inputs.pipeline, "maxclients")
        most = int(text) if text is not None and text.isdigit() else None
    if clients is None or most is None:
        found = "not checked: the server does not say how many connections it permits"
        return [warned(code, found, "compare the plan with docs/operations.md, then accept this line")]
    found, fix = f"{clients} of {most} connections are used", "a larger plan, or fewer processes"
    if clients > most * MOST_CLIENTS:
        return [failed(code, f"{found}: processes that start cannot connect", fix)]
    if clients * 2 > most:
        return [warned(code, f"{found}: during a rolling deploy twice as many may be needed", fix)]
    return [passed(code, found)]


async def _clock(inputs: Inputs) -> Sequence[Line]:
    """The clock of this machine against that of Redis, corrected by half of the round trip."""
    code, best = "redis.clock", None
    for _ in range(3):
        sent = time.time()
        seconds, micros = await inputs.pipeline.send("TIME", at=inputs.settings.key_prefix, repeatable=True)
        took = time.time() - sent
        skew = int(seconds) + int(micros) / 1e6 - (sent + took / 2)
        if best is None or took < best[1]:
            best = (skew, took)
    assert best is not None
    skew = abs(best[0])
    found = f"the clocks of this machine and of Redis differ by {skew:.3f} s"
    if skew > LARGE_SKEW_S:
        found += ": if that of Redis is wrong, tokens and signed webhooks are refused"
        return [failed(code, found, "NTP on both machines")]
    if skew > SKEW_S + best[1]:
        return [warned(code, found, "NTP on both machines")]
    return [passed(code, found)]


def _finding(inputs: Inputs, code: str) -> tuple[str, str] | None:
    """What a finding about the server says, and the fix. None if there is none of this code."""
    for finding in inputs.server.findings():
        if finding.code == code:
            what, _, fix = finding.detail.rpartition(": ")
            return what or finding.detail, fix or "docs/operations.md"
    return None


def _number(info: Mapping[str, str], name: str) -> int | None:
    text = info.get(name, "")
    return int(text) if text.isdigit() else None


def _unread(code: str, what: str, forbidden: str) -> Line:
    """A managed server may forbid CONFIG and leave lines out of INFO."""
    found = f"not checked: {what} could not be read, because the server forbids {forbidden}"
    return warned(code, found, "ask the provider, then accept this line in slipway.doctor.accept")


PART: Final = Part(
    "redis",
    "Redis: durability, memory, network",
    (
        Check({"redis.version": "Whether the server is recent enough."}, _version),
        Check(
            {"redis.persistence": "Whether checkpoints survive a crash: append-only file, fsync, snapshots."},
            _persistence,
        ),
        Check({"redis.failover": "Whether a replica takes over, and how far it is behind."}, _failover),
        Check({"redis.eviction": "Whether the server deletes keys when it is full."}, _eviction),
        Check({"redis.memory": "Whether there is a limit of memory, and room below it."}, _memory),
        Check({"redis.tls": "Whether the connection is encrypted and the certificate verified."}, _tls),
        Check({"redis.connections": "The connections against the limit of the plan."}, _connections),
        Check({"redis.clock": "The clock of this machine against that of Redis."}, _clock),
    ),
)
