"""The spans of runs whose workers are killed or stopped: one trace, whichever processes executed it."""

from __future__ import annotations

import signal
import uuid
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from slipway.telemetry.span import SpanKind
from slipway.tracing.run_trace import run_trace_from
from slipway.tracing.stored_form import WORKER_DIED
from slipway.tracing.stored_traces import StoredTraces
from tests.crash.cluster import Cluster, running
from tests.tracing.spans import Tree
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(120)

PROJECT: Final = Path(__file__).parent.parent / "tracing" / "project" / "langgraph.json"


async def spans_of(cluster: Cluster, run_id: str) -> Tree:
    """The stored spans of a run, with its trace."""
    fields = await cluster.run(run_id)
    trace = run_trace_from(fields["trace"].encode())
    stored = await StoredTraces(cluster.pipeline, cluster.keys).of_run(run_id, trace)
    return Tree(trace, stored.spans, stored.left_out)


async def create(cluster: Cluster, thread_id: str, graph: str, **body: Any) -> str:
    async with httpx.AsyncClient(base_url=cluster.webs[0].url, timeout=10) as client:
        request = {"assistant_id": graph, "if_not_exists": "create", **body}
        response = await client.post(f"/threads/{thread_id}/runs", json=request)
        assert response.status_code == 200, response.text
        return str(response.json()["run_id"])


async def phase_is(cluster: Cluster, run_id: str, phase: str) -> bool:
    return (await cluster.run(run_id))["phase"] == phase


async def executes(cluster: Cluster, run_id: str, node: str) -> bool:
    return any(span.name == node and span.ended_us is None for span in (await spans_of(cluster, run_id)).spans)


async def test_a_killed_run_that_recovers_asks_and_is_answered_has_one_trace_of_two_workers() -> None:
    async with running(webs=1, workers=1, project=PROJECT) as cluster:
        (first,), thread_id, file = cluster.workers, str(uuid.uuid4()), cluster.gate()
        run_id = await create(cluster, thread_id, "killed", input={"file": str(file)})
        await wait_until(lambda: executes(cluster, run_id, "sleeps"))
        await wait_until(file.exists)
        await first.kill()
        killed = await spans_of(cluster, run_id)
        assert [str(span.kind) for span in killed.spans if span.ended_us is None] == ["attempt", "superstep", "node"]
        second = await cluster.start_worker()
        await wait_until(lambda: phase_is(cluster, run_id, "waiting_for_approval"))

        asked = await spans_of(cluster, run_id)
        attempts = asked.children(asked.root_id)
        assert [(span.name, span.error) for span in attempts] == [("1", WORKER_DIED), ("2", "")]
        workers = [str(span.attributes["worker"]) for span in attempts]
        assert [f":{each.pid}:" in worker for each, worker in zip((first, second), workers, strict=True)] == [True] * 2
        assert attempts[0].ended_us is not None
        assert attempts[0].ended_us <= attempts[1].started_us + 1_000_000, "both on the same machine"
        assert asked.names_below(attempts[0].span_id) == [
            ("superstep 1", [("node step", [])]),
            ("superstep 2", [("node sleeps", [])]),
        ]
        assert [span.name for span in asked.spans if span.ended_us is None and span.kind is SpanKind.NODE] == ["sleeps"]
        nodes = [name for _, below in asked.names_below(attempts[1].span_id) for name, _ in below]
        assert nodes == ["node sleeps", "node asks"]

        answer_id = await create(cluster, thread_id, "killed", command={"resume": 5})
        await wait_until(lambda: phase_is(cluster, answer_id, "completed"))
        answered = await spans_of(cluster, answer_id)
        assert answered.known_trace.context.trace_id == asked.known_trace.context.trace_id
        assert answered.known_trace.parent_id == asked.root_id
        assert all(span.ended_us for span in answered.spans)


async def test_an_attempt_that_stored_nothing_before_it_was_killed_is_in_the_trace() -> None:
    async with running(webs=1, project=PROJECT) as cluster:
        await cluster.start_worker("guard")
        run_id = await create(cluster, str(uuid.uuid4()), "three", input={})
        await wait_until(lambda: not cluster.workers[0].alive)
        await cluster.start_worker()
        await wait_until(lambda: phase_is(cluster, run_id, "completed"))
        tree = await spans_of(cluster, run_id)
        killed, completed = tree.children(tree.root_id)
        assert (killed.name, killed.error, tree.children(killed.span_id)) == ("1", WORKER_DIED, [])
        assert killed.ended_us is not None
        assert killed.ended_us >= killed.started_us
        assert (completed.name, completed.attributes["phase"]) == ("2", "completed")


async def test_a_worker_that_drains_ends_its_attempt() -> None:
    async with running(webs=1, workers=1, project=PROJECT, drain_s=0.2) as cluster:
        (first,), file = cluster.workers, cluster.gate()
        run_id = await create(cluster, str(uuid.uuid4()), "killed", input={"file": str(file)})
        await wait_until(lambda: executes(cluster, run_id, "sleeps"))
        await wait_until(file.exists)
        first.signal(signal.SIGTERM)
        await first.wait_for_exit(20)
        await cluster.start_worker()
        await wait_until(lambda: phase_is(cluster, run_id, "waiting_for_approval"))
        tree = await spans_of(cluster, run_id)
        released, ended = tree.children(tree.root_id)
        assert (released.error, released.attributes["phase"]) == ("", "queued")
        assert (ended.error, ended.attributes["phase"]) == ("", "waiting_for_approval")
        assert [span.error for span in tree.named("node sleeps")] == ["cancelled", ""]
        assert all(span.ended_us for span in tree.spans)
