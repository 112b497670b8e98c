"""Traces of deployments as they are operated: with a tracer provider of the project, with API keys, for a long time."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.crash.cluster import Cluster, running
from tests.crash.test_exported_traces import CALLER, TRACE, exported
from tests.crash.test_traces import create, phase_is, spans_of
from tests.metrics.stored_figures import add_up_counts
from tests.otlp.receiver import Received
from tests.waiting import wait_until

__all__ = ["exported"]

pytestmark = pytest.mark.timeout(120)

PROJECT: Final = Path(__file__).parent / "observed_project" / "langgraph.json"
CREATE: Final = "POST /threads/{thread_id}/runs"


async def test_spans_of_a_project_with_a_tracer_provider_of_its_own_go_where_it_sends_them(
    exported: Received, tmp_path: Path
) -> None:
    file = tmp_path / "spans"
    async with running(webs=1, workers=1, project=PROJECT, graphs_env={"SPANS_FILE": str(file)}) as cluster:
        run_id = await create(cluster, str(uuid.uuid4()), "observed", input={})
        await wait_until(lambda: phase_is(cluster, run_id, "completed"))
        await exported.until("invoke_agent observed", "node observe", CREATE)
        await cluster.workers[0].kill()
    (own,) = [json.loads(line) for line in file.read_text().splitlines()]
    node = exported.named("node observe")
    assert own["name"] == "in the node"
    assert own["context"]["trace_id"] == f"0x{node.trace_id}"
    assert own["parent_id"] == f"0x{node.span_id}"
    assert own["resource"]["attributes"]["service.name"].startswith("unknown_service"), "as the project made it"
    assert "in the node" not in exported.names()


async def _new_key(cluster: Cluster, *options: str) -> str:
    code, output = await cluster.command("keys", "create", *options, "--json")
    assert code == 0, output
    return str(json.loads(output)["key"])


async def test_a_member_with_an_api_key_has_one_trace_that_only_its_owner_reads(exported: Received) -> None:
    async with running(webs=1, workers=1, project=PROJECT, require_keys=True) as cluster:
        acme = await _new_key(cluster, "--scope", "runs:write", "--scope", "runs:read", "--owner", "acme")
        other = await _new_key(cluster, "--scope", "runs:write", "--scope", "runs:read", "--owner", "other")
        operator = await _new_key(cluster, "--scope", "operate", "--scope", "runs:read")
        async with httpx.AsyncClient(base_url=cluster.webs[0].url, timeout=20) as client:
            body: Any = {"assistant_id": "observed", "input": {}}
            path = f"/threads/{uuid.uuid4()}/runs"
            refused = await client.post(path, json=body, headers={"traceparent": f"00-{TRACE}-{CALLER}-01"})
            assert refused.status_code == 401
            headers = {"x-api-key": acme, "traceparent": f"00-{TRACE}-{CALLER}-01"}
            created = await client.post(path, json={**body, "if_not_exists": "create"}, headers=headers)
            assert created.status_code == 200, created.text
            run_id = created.json()["run_id"]
            await wait_until(lambda: phase_is(cluster, run_id, "completed"))
            await exported.until("invoke_agent observed", "attempt 1", "node observe", "in the node", CREATE)
            shown = {
                key: await client.get(f"/ops/runs/{run_id}/trace", headers={"x-api-key": key})
                for key in (acme, other, operator)
            }
    assert {each.trace_id for each in exported.spans} == {TRACE}
    assert exported.named(CREATE).parent_id == CALLER
    assert exported.named("invoke_agent observed").parent_id == exported.named(CREATE).span_id
    assert exported.named("in the node").parent_id == exported.named("node observe").span_id
    sent = b"".join(exported.raw)
    assert not [key for key in (acme, other, operator) if key.encode() in sent]
    assert {key: each.status_code for key, each in shown.items()} == {acme: 200, other: 404, operator: 200}
    assert shown[acme].json()["trace_id"] == TRACE
    workers = {key: shown[key].json()["totals"]["workers"] for key in (acme, operator)}
    assert workers[acme] == 1, "only operators receive the names of workers"
    assert len(workers[operator]) == 1


async def test_a_running_deployment_deletes_spans_after_their_time() -> None:
    async with running(webs=1, workers=1, project=PROJECT, trace_retention_s=60) as cluster:
        thread_id = str(uuid.uuid4())
        old, new = [await create(cluster, thread_id, "observed", input={}) for _ in range(2)]
        await wait_until(lambda: phase_is(cluster, new, "completed"))
        kept = (await spans_of(cluster, new)).spans
        assert len((await spans_of(cluster, old)).spans) == len(kept) == 3
        stored_ms = int(time.time() * 1000) - 60_000
        await cluster.pipeline.send("HSET", cluster.keys.run(old), "updated_us", stored_ms * 1000)
        await add_up_counts(cluster.pipeline, cluster.keys)
        await cluster.pipeline.send("ZADD", cluster.keys.traces, "XX", stored_ms, old)

        async def is_deleted() -> bool:
            return not (await spans_of(cluster, old)).spans

        await wait_until(is_deleted)
        (worker,) = cluster.workers
        await wait_until(lambda: worker.count_logged("traces.trimmed") == 1)
        assert (await spans_of(cluster, new)).spans == kept
        await add_up_counts(cluster.pipeline, cluster.keys)
        size = await cluster.pipeline.send("GET", cluster.keys.trace_bytes)
        (part,) = await cluster.pipeline.send("LRANGE", cluster.keys.run_trace(new), 0, -1)
        assert int(size) == len(part) + 300
        async with httpx.AsyncClient(base_url=cluster.webs[0].url, timeout=10) as client:
            shown = (await client.get(f"/ops/runs/{old}/trace")).json()
        assert not {each["kind"] for each in _all_spans(shown["spans"])} & {"attempt", "superstep", "node"}
        assert "SLIPWAY_TRACE_RETENTION_S" in shown["problem"], shown["problem"]


def _all_spans(roots: list[Any]) -> list[Any]:
    return [each for root in roots for each in (root, *_all_spans(root["children"]))]
