"""The exported trace of runs, from the request of a client to their end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient
from websockets.asyncio.client import connect

from slipway.otlp.span_encoder import SCHEMA_URL
from slipway.versions import version_of
from tests.http.conftest import Served
from tests.otlp.receiver import Received, ReceivedSpan
from tests.waiting import wait_until

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CREATE = "POST /threads/{thread_id}/runs"

pytestmark = pytest.mark.usefixtures("exported", "worker")


async def executed(
    sdk: LangGraphClient, graph: str, traceparent: str | None = None, **options: Any
) -> tuple[str, dict[str, Any]]:
    """Executes a run on a new thread to its end. Returns the id of the thread and its values."""
    thread = (await sdk.threads.create())["thread_id"]
    headers = {} if traceparent is None else {"traceparent": traceparent}
    run: Any = await sdk.runs.create(thread, graph, input={}, headers=headers, **options)
    return thread, dict(await sdk.runs.join(thread, run["run_id"]))


async def test_one_trace_from_the_request_to_the_end(sdk: LangGraphClient, exported: Received) -> None:
    thread, _ = await executed(sdk, "work", f"00-{TRACE}-{CALLER}-01")
    await exported.until("invoke_agent work", "attempt 1", "inside the tool", CREATE)
    request = exported.named(CREATE)
    assert (request.parent_id, request.kind) == (CALLER, "server")
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["gen_ai.conversation.id"] == thread
    root = exported.named("invoke_agent work")
    assert (root.parent_id, root.kind, root.is_error) == (request.span_id, "internal", False)
    assert root.attributes["gen_ai.operation.name"] == "invoke_agent"
    assert root.attributes["gen_ai.agent.name"] == "work"
    assert root.attributes["slipway.run.phase"] == "completed"
    assert exported.children_of(root) == {"queue", "attempt 1"}
    attempt = exported.named("attempt 1")
    assert attempt.kind == "consumer"
    assert exported.children_of(attempt) == {"superstep 1", "superstep 2"}
    assert exported.children_of(exported.named("superstep 1")) == {"node thinks"}
    assert {each.trace_id for each in exported.spans} == {TRACE}
    own = [each for each in exported.spans if each.scope[0] == "slipway"]
    parts = [each for each in own if each.name.startswith(("queue", "superstep", "node"))]
    assert {each.attributes.get("gen_ai.conversation.id") for each in own if each not in parts} == {thread}
    assert {each.attributes["slipway.run.id"] for each in parts} == {root.attributes["slipway.run.id"]}
    assert exported.children_of(exported.named("node thinks")) == {"chat generic-fake-chat-model"}
    assert exported.children_of(exported.named("node calls_tool")) == {"execute_tool look_up"}
    assert exported.children_of(exported.named("execute_tool look_up")) == {"inside the tool"}
    model = exported.named("chat generic-fake-chat-model")
    assert model.kind == "client"
    assert model.attributes["gen_ai.operation.name"] == "chat"
    assert (model.attributes["gen_ai.usage.input_tokens"], model.attributes["gen_ai.usage.output_tokens"]) == (7, 3)
    assert root.started_ns <= attempt.started_ns <= attempt.ended_ns <= root.ended_ns
    assert root.scope == ("slipway", version_of("slipway"), SCHEMA_URL)


async def test_who_sends_the_spans(sdk: LangGraphClient, exported: Received) -> None:
    await executed(sdk, "one")
    await exported.until("invoke_agent one", "attempt 1", CREATE)
    worker, web = exported.named("attempt 1").resource, exported.named(CREATE).resource
    assert (worker["service.name"], web["service.name"]) == ("slipway-worker", "slipway-web")
    assert worker["service.version"] == version_of("slipway")
    assert worker["service.instance.id"] == exported.named("attempt 1").attributes["slipway.worker"]


async def test_a_run_that_fails(sdk: LangGraphClient, exported: Received) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    run: Any = await sdk.runs.create(thread, "failing", input={})
    await sdk.runs.join(thread, run["run_id"])
    await exported.until("invoke_agent failing", "attempt 1", CREATE)
    assert exported.named("node fails").attributes["error.type"] == "ValueError"
    root = exported.named("invoke_agent failing")
    assert root.is_error
    assert root.attributes["error.type"] == exported.named("attempt 1").attributes["error.type"]


async def test_an_inline_run(sdk: LangGraphClient, exported: Received) -> None:
    await executed(sdk, "inline", f"00-{TRACE}-{CALLER}-01")
    await exported.until("invoke_agent inline", "attempt 1", CREATE)
    assert {each.trace_id for each in exported.spans} == {TRACE}
    assert exported.named("attempt 1").resource["service.name"] == "slipway-web"


async def test_spans_of_the_project_join_the_trace(sdk: LangGraphClient, exported: Received) -> None:
    _, values = await executed(sdk, "spans")
    await exported.until("invoke_agent spans", "in a node", "in a thread", CREATE)
    in_node, in_thread = exported.named("in a node"), exported.named("in a thread")
    assert in_node.parent_id == exported.named("node in_loop").span_id
    assert in_thread.parent_id == exported.named("node in_thread").span_id
    assert in_node.scope[0] == "project"
    assert values["log"][0] == f"00-{in_node.trace_id}-{in_node.span_id}-01"
    assert len({each.trace_id for each in exported.spans}) == 1


async def test_what_models_do_belongs_to_their_spans(sdk: LangGraphClient, exported: Received) -> None:
    await executed(sdk, "instrumented_calls")
    await exported.until("invoke_agent instrumented_calls", "after the model")
    by_id = {each.span_id: each for each in exported.spans}

    def above(span: ReceivedSpan) -> list[str]:
        parent = by_id.get(span.parent_id)
        return [] if parent is None else [parent.name, *above(parent)]

    chat = "chat generic-fake-chat-model"
    requests = exported.all_named("request of the model")
    assert [above(each)[:2] for each in requests] == [[chat, "node asks"]] * 3 + [[chat, "node in_thread"]]
    assert len({each.parent_id for each in requests}) == 4
    assert above(exported.named("request of the stream"))[:2] == [chat, "node streams"]
    assert above(exported.named("after the models"))[0] == "node asks"
    assert above(exported.named("after the model"))[0] == "node in_thread"


async def test_a_run_that_a_node_creates_joins_the_trace(sdk: LangGraphClient, exported: Received) -> None:
    await executed(sdk, "calls")
    await exported.until("invoke_agent one", "invoke_agent calls", "node calls_api")
    await wait_until(lambda: len(exported.all_named(CREATE)) == 2)
    node = exported.named("node calls_api")
    requests = [each for each in exported.spans if each.parent_id == node.span_id]
    assert [each.name for each in requests] == [CREATE]
    assert exported.named("invoke_agent one").parent_id == requests[0].span_id


@pytest.mark.parametrize(
    "header", ["", "nonsense", f"00-{'0' * 32}-{CALLER}-01", f"ff-{TRACE}-{CALLER}-01", "x" * 4000]
)
async def test_an_invalid_header_begins_a_new_trace(sdk: LangGraphClient, exported: Received, header: str) -> None:
    await executed(sdk, "one", header)
    await exported.until("invoke_agent one", "attempt 1", CREATE)
    request = exported.named(CREATE)
    assert (request.trace_id != TRACE, request.parent_id) == (True, "")


async def test_a_caller_that_does_not_sample_is_not_exported(sdk: LangGraphClient, exported: Received) -> None:
    await executed(sdk, "spans", f"00-{TRACE}-{CALLER}-00")
    await executed(sdk, "one")
    await exported.until("invoke_agent one", "attempt 1", CREATE)
    assert TRACE not in {each.trace_id for each in exported.spans}
    assert not {"in a node", "in a thread"} & exported.names()


async def test_nothing_of_a_rejected_request_is_exported(sdk: LangGraphClient, exported: Received) -> None:
    with pytest.raises(Exception, match="not found"):
        await sdk.runs.create("01a22e69-8f35-7782-9fab-04e90ed55301", "one", input={})
    await executed(sdk, "one")
    await exported.until("invoke_agent one", "attempt 1", CREATE)
    assert len(exported.all_named(CREATE)) == 1


async def test_a_run_that_is_cancelled_before_it_starts(exported: Received, sdk: LangGraphClient) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    run: Any = await sdk.runs.create(thread, "one", input={}, after_seconds=3600)
    await sdk.runs.cancel(thread, run["run_id"])
    await exported.until("invoke_agent one", CREATE, "POST /threads/{thread_id}/runs/{run_id}/cancel")
    root = exported.named("invoke_agent one")
    assert (root.attributes["slipway.run.phase"], root.attributes["error.type"]) == ("cancelled", "cancelled")
    assert root.parent_id == exported.named(CREATE).span_id
    assert root.started_ns <= root.ended_ns


async def test_runs_of_a_websocket_belong_to_the_trace_of_its_handshake(
    exported: Received, sdk: LangGraphClient, served: Served
) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    url = f"{served.url.replace('http', 'ws')}/threads/{thread}/stream/events"
    async with connect(url, additional_headers={"traceparent": f"00-{TRACE}-{CALLER}-01"}) as socket:
        command = {"id": 1, "method": "run.start", "params": {"assistant_id": "one", "input": {}}}
        await socket.send(json.dumps(command))
        await exported.until("invoke_agent one")
    assert (exported.named("invoke_agent one").trace_id, exported.named("invoke_agent one").parent_id) == (
        TRACE,
        CALLER,
    )
