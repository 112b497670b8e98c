"""Lines about the server of Redis and about webhooks that need more than one setting."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from slipway.circuit_breakers.scripts import BreakerScripts
from slipway.clock import Clock
from slipway.go_live import redis_part
from slipway.go_live.line import Outcome
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.delivery_queues import EXTERNAL
from slipway.webhook_endpoints.scripts import EndpointScripts
from slipway.webhook_endpoints.store import EndpointChange, EndpointStore
from tests.certificates import self_signed
from tests.embedded_valkey import embedded_valkey
from tests.go_live.conftest import Deployment, worst
from tests.shards import shards_of
from tests.waiting import Eventually
from tests.webhooks.delivery_scripts import delivery_scripts


async def test_the_findings_of_readyz_are_lines(deployment: Deployment, pipeline: Pipeline) -> None:
    config = deployment.project()
    assert worst((await deployment.check(config, "state")).lines, "health", "workers.none").outcome is Outcome.FAIL
    both = await deployment.check(config, "state", "workers")
    assert worst(both.lines, "health").outcome is Outcome.PASS, "a finding with a line of its own is said once"
    breakers = BreakerScripts(pipeline, deployment.keys)
    await breakers.leave("model:gpt", "call", "failed", "TimeoutError", most=1, window_ms=60_000, open_ms=60_000)
    line = worst((await deployment.check(config, "state")).lines, "health", "breakers.open")
    assert (line.outcome, line.found.startswith("1 circuit breaker is open")) == (Outcome.WARN, True)


@pytest.mark.parametrize(
    ("forbidden", "expected"),
    [
        ("-config", {"redis.persistence": "appendfsync could not be read"}),
        (
            "-config -info",
            {
                "redis.version": "not checked",
                "redis.eviction": "not checked: maxmemory-policy",
                "redis.persistence": "not checked: whether an append-only file",
                "redis.failover": "not checked",
                "redis.memory": "not checked: maxmemory",
                "redis.connections": "not checked",
            },
        ),
    ],
)
async def test_what_a_managed_server_forbids_is_a_warning(
    deployment: Deployment, pipeline: Pipeline, forbidden: str, expected: dict[str, str]
) -> None:
    """Never a pass: nobody knows."""
    config = deployment.project()
    rules = ("on", ">secret", "~*", "&*", "+@all", *forbidden.split())
    await pipeline.send("ACL", "SETUSER", "managed", "reset", *rules)
    url = f"{deployment.url.replace('unix://', 'unix://managed:secret@')}"
    checklist = await deployment.check(config, "redis", redis_url=url)
    found = {line.code: line for line in checklist.lines}
    for code, text in expected.items():
        assert (found[code].outcome, text in found[code].found) == (Outcome.WARN, True), found[code]
        assert found[code].fix
    assert worst((await deployment.check(config, "redis")).lines, "redis.persistence").outcome is Outcome.PASS
    assert worst((await deployment.check(config, "redis")).lines, "redis.version").outcome is Outcome.PASS


@pytest.mark.parametrize("encryption_key", [None, "A" * 43 + "="])
async def test_a_user_that_may_only_read_gets_a_checklist(
    deployment: Deployment, pipeline: Pipeline, encryption_key: str | None
) -> None:
    """What needs a script is a warning that says why; everything else is checked, and nothing is written."""
    rules = ("on", ">secret", "~*", "&*", "+@read", "+@connection", "+info", "+config|get", "+time")
    await pipeline.send("ACL", "SETUSER", "reader", "reset", *rules)
    before = await pipeline.send("DBSIZE")
    url = deployment.url.replace("unix://", "unix://reader:secret@")
    checklist = await deployment.check(deployment.project(), redis_url=url, encryption_key=encryption_key)
    found = {line.code: line for line in checklist.lines}
    assert found["redis.persistence"].outcome is Outcome.PASS
    for code in ("versions.served", "durability.runs", "access.keys"):
        assert (found[code].outcome, "NOPERM" in found[code].found) == (Outcome.WARN, True), found[code]
    line = worst(checklist.lines, "health", "redis.rejects_writes")
    assert (line.outcome, "may only read" in line.found, "NOPERM" in line.fix) == (Outcome.WARN, True, False)
    assert worst(checklist.lines, "health").outcome is Outcome.WARN
    assert await pipeline.send("DBSIZE") == before


async def test_a_replica_is_counted_and_is_not_written_to(
    deployment: Deployment, tmp_path: Path, eventually: Eventually
) -> None:
    config, port = deployment.project(), _free_port()
    assert worst((await deployment.check(config, "redis")).lines, "redis.failover").outcome is Outcome.WARN
    with (
        embedded_valkey("--port", str(port), "--bind", "127.0.0.1") as url,
        embedded_valkey("--replicaof", "127.0.0.1", str(port)) as replica_url,
    ):

        async def has_replica() -> bool:
            checklist = await deployment.check(config, "redis", redis_url=url)
            return worst(checklist.lines, "redis.failover").outcome is Outcome.PASS

        await eventually(has_replica)
        line = worst((await deployment.check(config, "redis", redis_url=replica_url)).lines, "redis.failover")
        assert (line.outcome, "is a replica" in line.found) == (Outcome.FAIL, True), line


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(("public", "outcome"), [(True, Outcome.FAIL), (False, Outcome.WARN), (None, Outcome.WARN)])
async def test_how_redis_is_reached(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, public: bool | None, outcome: Outcome
) -> None:
    """By its address: a socket, this machine, a private and a public network; with TLS, verified or not."""
    config = deployment.project()
    checklist = await deployment.check(config, "redis")
    assert worst(checklist.lines, "redis.tls").outcome is Outcome.PASS
    certificate, port = self_signed(tmp_path, "localhost"), _free_port()
    tls = ("--tls-port", str(port), "--tls-cert-file", str(certificate.file), "--tls-key-file", str(certificate.file))
    own = ("--tls-ca-cert-file", str(certificate.file), "--tls-auth-clients", "no", "--bind", "127.0.0.1")
    try:
        with embedded_valkey(*tls, *own):
            url = f"rediss://localhost:{port}"
            verified = await deployment.check(config, "redis", redis_url=url, redis_ca_file=certificate.file)
            assert "verified" in worst(verified.lines, "redis.tls").found
            loose = await deployment.check(config, "redis", redis_url=url, redis_tls_verify=False)
            assert worst(loose.lines, "redis.tls").outcome is Outcome.WARN
    except RuntimeError:  # this Valkey was built without TLS
        pass
    plain_port = _free_port()
    with embedded_valkey("--port", str(plain_port), "--bind", "127.0.0.1"):
        url = f"redis://127.0.0.1:{plain_port}"
        here = worst((await deployment.check(config, "redis", redis_url=url)).lines, "redis.tls")
        assert (here.outcome, "inside this machine" in here.found) == (Outcome.PASS, True)

        async def resolved(host: str) -> bool | None:
            return public

        monkeypatch.setattr(redis_part, "is_loopback", lambda host: False)
        monkeypatch.setattr(redis_part, "is_public", resolved)
        line = worst((await deployment.check(config, "redis", redis_url=url)).lines, "redis.tls")
        assert (line.outcome, line.fix) == (outcome, "a rediss:// address in SLIPWAY_REDIS_URL")


@pytest.mark.parametrize(
    ("host", "public"), [("127.0.0.1", False), ("10.1.2.3", False), ("8.8.8.8", True), ("no.such.name.invalid", None)]
)
async def test_public_addresses_are_recognised(host: str, public: bool | None) -> None:
    assert await redis_part.is_public(host) is public


@pytest.mark.parametrize(("ahead_s", "outcome"), [(0.0, Outcome.PASS), (10.0, Outcome.WARN), (3600.0, Outcome.FAIL)])
async def test_a_clock_that_is_wrong(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, ahead_s: float, outcome: Outcome
) -> None:
    import time

    class Ahead:
        @staticmethod
        def time() -> float:
            return time.time() + ahead_s

    monkeypatch.setattr(redis_part, "time", Ahead)
    line = worst((await deployment.check(deployment.project(), "redis")).lines, "redis.clock")
    assert line.outcome is outcome, line


def _endpoints(pipeline: Pipeline, keys: Keys) -> EndpointStore:
    return EndpointStore(EndpointScripts(pipeline, shards_of(keys)), Clock(), lambda url: None, ("desk",))


async def test_disabled_endpoints_are_a_warning(deployment: Deployment, pipeline: Pipeline) -> None:
    config, store = deployment.project(), _endpoints(pipeline, deployment.keys)
    added = await store.add(EndpointChange(url="https://hooks.example.com/", types=["run.*"]), by="ann")
    assert worst((await deployment.check(config, "webhooks")).lines, "webhooks.endpoints").outcome is Outcome.PASS
    await store.disable(added.endpoint.endpoint_id, by="ann", reason="moves")
    line = worst((await deployment.check(config, "webhooks")).lines, "webhooks.endpoints")
    assert (line.outcome, line.subject) == (Outcome.WARN, added.endpoint.endpoint_id)
    assert "disabled by ann: moves" in line.found
    plain = await store.add(EndpointChange(url="http://hooks.example.com/", types=["run.*"]), by="ann")
    lines = (await deployment.check(config, "webhooks")).lines
    assert "not https" in worst(lines, "webhooks.endpoints", plain.endpoint.endpoint_id).found


async def test_webhooks_that_nobody_accepts_are_a_warning(deployment: Deployment, pipeline: Pipeline) -> None:
    config, keys = deployment.project(), deployment.keys
    store, scripts = _endpoints(pipeline, keys), delivery_scripts(pipeline, keys)
    endpoint = (await store.add(EndpointChange(url="https://hooks.example.com/", types=["run.*"]), by="ann")).endpoint
    assert await EndpointScripts(pipeline, shards_of(keys)).test(endpoint, "ann")
    assert worst((await deployment.check(config, "webhooks")).lines, "webhooks.dead_letters").outcome is Outcome.PASS
    await store.remove(endpoint.endpoint_id, by="ann")
    assert await scripts.claim((EXTERNAL,), 10, 60_000) == []
    line = worst((await deployment.check(config, "webhooks")).lines, "webhooks.dead_letters")
    assert (line.outcome, "1 webhook of" in line.found) == (Outcome.WARN, True), line


@pytest.mark.parametrize(
    ("status", "sampler", "outcome", "found"),
    [
        (200, "", Outcome.PASS, "accepts spans"),
        (302, "", Outcome.WARN, "answers 302"),
        (503, "", Outcome.WARN, "answers 503"),
        (200, "always_off", Outcome.WARN, "always_off sends none"),
        (200, "parentbased_always_off", Outcome.WARN, "none but those of sampled requests"),
    ],
)
async def test_a_receiver_that_gets_no_spans_is_a_warning(
    deployment: Deployment, status: int, sampler: str, outcome: Outcome, found: str
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} -\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_TRACES_SAMPLER": sampler}
        checklist = await deployment.check(deployment.project(), "observation", environment=environment)
    line = worst(checklist.lines, "traces.exported")
    assert (line.outcome, found in line.found) == (outcome, True), line


async def test_spend_says_what_is_limited(deployment: Deployment) -> None:
    worlds: tuple[tuple[dict[str, Any], dict[str, Any], str], ...] = (
        ({}, {}, "no model and no known package"),
        ({"graphs": {"desk": {"ceilings": {"max_cost_usd": 5}}}}, {}, "limited for: desk"),
        ({"budgets": {"graph": {"day": {"cost_usd": 5}}}}, {"model": "openai:gpt-5"}, "limited for: desk"),
    )
    for slipway, settings, found in worlds:
        config = deployment.project(slipway=slipway)
        line = worst((await deployment.check(config, "ceilings", **settings)).lines, "ceilings.spend")
        assert (line.outcome, found in line.found) == (Outcome.PASS, True), line
