"""The exported trace of a run that was killed, recovered, waited for people and called a webhook: one tree, whichever
processes ended its spans."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest

from slipway.tracing.stored_form import WORKER_DIED
from tests.crash.cluster import Cluster, running
from tests.crash.test_traces import create, phase_is
from tests.otlp.receiver import Received, receiving
from tests.waiting import wait_until
from tests.webhooks.conftest import Receiver

pytestmark = pytest.mark.timeout(120)

PROJECT: Final = Path(__file__).parent.parent / "otlp" / "project" / "langgraph.json"
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[Received]:
    """The receiver to which the processes of the test export."""
    with receiving() as received:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", received.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        yield received


@pytest.fixture
async def webhook() -> AsyncIterator[Receiver]:
    """A receiver of webhooks."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.handle, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    yield receiver
    server.close()


async def killed_and_recovered(cluster: Cluster, thread_id: str, **body: object) -> str:
    """Executes the graph `killed`: the first worker is killed, the second one brings the run to its question."""
    (first,), file = cluster.workers, cluster.gate()
    run_id = await create(cluster, thread_id, "killed", input={"file": str(file)}, **body)
    await wait_until(file.exists)
    await first.kill()
    await cluster.start_worker()
    await wait_until(lambda: phase_is(cluster, run_id, "waiting_for_approval"))
    return run_id


async def test_one_trace_from_the_request_to_the_webhook(exported: Received, webhook: Receiver) -> None:
    async with running(webs=1, workers=1, project=PROJECT) as cluster:
        thread_id = str(uuid.uuid4())
        run_id = await killed_and_recovered(cluster, thread_id, webhook=webhook.url)
        answer_id = await create(cluster, thread_id, "killed", command={"resume": 5}, webhook=webhook.url)
        await wait_until(lambda: phase_is(cluster, answer_id, "completed"))
        await exported.until("approval asks", "attempt 2", "POST webhook", "chat generic-fake-chat-model")
        await wait_until(lambda: len(exported.all_named("invoke_agent killed")) == 2)
        await wait_until(lambda: len(exported.all_named("POST webhook")) == len(webhook.headers))
        await wait_until(lambda: len(exported.all_named("POST /threads/{thread_id}/runs")) == 2)

    unique = {each.span_id: each for each in exported.spans}
    asked, answered = exported.all_named("invoke_agent killed")
    assert (asked.attributes["slipway.run.id"], answered.attributes["slipway.run.id"]) == (run_id, answer_id)
    assert asked.attributes["slipway.run.phase"] == "waiting_for_approval"
    request, answer = exported.all_named("POST /threads/{thread_id}/runs")
    assert asked.parent_id == request.span_id
    assert answered.parent_id == asked.span_id
    assert answered.links == ((answer.trace_id, answer.span_id),)
    assert {each.trace_id for each in unique.values()} == {request.trace_id, answer.trace_id}
    orphans = {each.name for each in unique.values() if each.parent_id and each.parent_id not in unique}
    assert orphans == set()

    first = next(each for each in unique.values() if each.name == "attempt 1" and each.parent_id == asked.span_id)
    second = exported.named("attempt 2")
    assert first.attributes["error.type"] == WORKER_DIED
    assert first.attributes["slipway.worker"] != second.attributes["slipway.worker"]
    assert exported.children_of(asked) >= {"queue", "attempt 1", "attempt 2", "approval asks", "invoke_agent killed"}
    died = [each for each in unique.values() if each.attributes.get("error.type") == WORKER_DIED]
    assert {each.name for each in died} == {"attempt 1", "superstep 2", "node sleeps"}
    assert exported.named("approval asks").ended_ns <= answered.ended_ns

    tries = exported.all_named("POST webhook")
    assert {each.attributes["http.response.status_code"] for each in tries} == {200}
    assert {f"00-{each.trace_id}-{each.span_id}-01" for each in tries} == {
        headers["traceparent"] for headers in webhook.headers
    }


async def test_a_run_without_attempts_left_is_exported_by_who_reclaims_it(exported: Received) -> None:
    async with running(webs=1, workers=2, project=PROJECT) as cluster:
        file, thread_id = cluster.gate(), str(uuid.uuid4())
        config = {"configurable": {"ceilings": {"max_attempts": 1}}}
        run_id = await create(cluster, thread_id, "killed", input={"file": str(file)}, config=config)
        await wait_until(lambda: file.exists() and file.read_text())
        owner = next(each for each in cluster.workers if each.pid == int(file.read_text()))
        await owner.kill()
        await wait_until(lambda: phase_is(cluster, run_id, "failed"))
        await exported.until("invoke_agent killed", "node sleeps")
    root = exported.named("invoke_agent killed")
    assert root.attributes["error.type"] == "ceiling.attempts"
    assert exported.named("node sleeps").attributes["error.type"] == WORKER_DIED
