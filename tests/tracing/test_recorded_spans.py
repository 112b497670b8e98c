"""What an attempt records: which spans a run has, under which parents, with which attributes."""

from __future__ import annotations

import asyncio
from types import ModuleType
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient

from slipway.runs.record import new_id
from slipway.telemetry.span import SpanKind
from slipway.telemetry.table.whole_table import SPAN_TYPES
from tests.http.conftest import Served
from tests.tracing.spans import RunTree, counted_bytes, run_and_read, tree_of
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("worker")


async def test_a_run_of_one_node(sdk: LangGraphClient, served: Served) -> None:
    tree = await run_and_read(sdk, served.services, "one")
    assert tree.names == [("attempt 1", [("superstep 1", [("node step", [])])])]
    attempt, superstep, node = tree.spans
    assert attempt.started_us <= superstep.started_us <= node.started_us
    assert node.ended_us is not None
    assert superstep.ended_us is not None
    assert attempt.ended_us is not None
    assert node.ended_us <= superstep.ended_us <= attempt.ended_us
    assert attempt.attributes["phase"] == "completed"
    assert attempt.attributes["number"] == 1
    assert superstep.attributes == {"superstep": 1}
    assert not any(span.error for span in tree.spans)


async def test_supersteps_in_turn_also_of_a_node_in_a_thread(sdk: LangGraphClient, served: Served) -> None:
    tree = await run_and_read(sdk, served.services, "three")
    assert tree.names == [
        (
            "attempt 1",
            [
                ("superstep 1", [("node first", [])]),
                ("superstep 2", [("node second", [])]),
                ("superstep 3", [("node third", [])]),
            ],
        )
    ]
    assert all(span.ended_us for span in tree.spans)
    attempt = tree.only("attempt 1")
    assert attempt.ended_us is not None
    redis_s = attempt.attributes["redis_s"]
    assert isinstance(redis_s, float)
    assert 0 < redis_s < (attempt.ended_us - attempt.started_us) / 1e6


async def test_parallel_nodes_are_in_one_superstep(sdk: LangGraphClient, served: Served) -> None:
    tree = await run_and_read(sdk, served.services, "parallel")
    assert tree.names == [("attempt 1", [("superstep 1", [("node each", [])] * 3)])]


async def test_the_supersteps_of_a_subgraph_are_below_its_node(sdk: LangGraphClient, served: Served) -> None:
    tree = await run_and_read(sdk, served.services, "nested")
    inside: Any = [("superstep 1", [("node inner", [])]), ("superstep 2", [("node last", [])])]
    assert tree.names == [
        ("attempt 1", [("superstep 1", [("node before", [])]), ("superstep 2", [("node inside", inside)])])
    ]
    assert all(span.ended_us for span in tree.spans)


async def test_a_task_that_a_node_calls_is_below_the_node(sdk: LangGraphClient, served: Served) -> None:
    tree = await run_and_read(sdk, served.services, "functional")
    called: Any = [("node called", []), ("node called", [])]
    assert tree.names == [("attempt 1", [("superstep 1", [("node functional", called)])])]


@pytest.mark.parametrize("stream_mode", [["events"], ["values", "updates", "messages", "tasks", "checkpoints"]])
async def test_every_stream_mode_records_the_same(sdk: LangGraphClient, served: Served, stream_mode: list[Any]) -> None:
    for graph in ("three", "nested", "parallel", "functional"):
        plain = await run_and_read(sdk, served.services, graph)
        streamed = await run_and_read(sdk, served.services, graph, stream_mode=stream_mode, stream_subgraphs=True)
        assert streamed.names == plain.names
        assert all(span.ended_us for span in streamed.spans)


async def test_retries_of_a_node_are_counted(sdk: LangGraphClient, served: Served) -> None:
    tree = await run_and_read(sdk, served.services, "retried", {"file": new_id()})
    node = tree.only("node retried")
    assert node.attributes == {"retries": 2}
    assert node.error == ""


async def test_an_error_is_the_class_of_an_exception_and_never_its_text(sdk: LangGraphClient, served: Served) -> None:
    tree = await run_and_read(sdk, served.services, "failing")
    assert tree.only("node fails").error == "ValueError"
    attempt = tree.only("attempt 1")
    assert (attempt.error, attempt.attributes["phase"]) == ("node.failed", "failed")
    assert "secret text" not in repr(tree.spans)


async def test_calls_of_models_have_models_and_tokens(sdk: LangGraphClient, served: Served) -> None:
    tree = await run_and_read(sdk, served.services, "models")
    first, second = (span for span in tree.spans if span.kind == "model")
    assert [span.parent_id for span in (first, second)] == [
        tree.only("node asks").span_id,
        tree.only("node asks_in_thread").span_id,
    ]
    assert first.attributes["tokens_in"] == 7
    assert first.attributes["tokens_out"] == 3
    assert first.attributes["responding_model"] == "fake-1"
    assert first.attributes["finish_reason"] == "stop"
    assert first.ended_us is not None
    assert second.ended_us is not None
    assert "the prompt" not in repr(tree.spans)


async def test_a_fallback_of_a_route_is_a_call_of_its_own(sdk: LangGraphClient, served: Served) -> None:
    tree = await run_and_read(sdk, served.services, "routes")
    failed, used = (span for span in tree.spans if span.kind == "model")
    assert failed.error == "Overloaded"
    assert used.error == ""
    assert used.attributes["fallback_from"] == "./fakes.py:refuses"


async def test_models_that_cannot_be_created_have_spans(sdk: LangGraphClient, served: Served) -> None:
    tree = await run_and_read(sdk, served.services, "uncreated")
    for node in ("asks", "streams", "asks_in_thread", "streams_in_thread"):
        missing, unset, used = tree.children(tree.only(f"node {node}").span_id)
        assert (missing.name, missing.error) == ("./fakes.py:cannot_be_created", "ImportError")
        assert missing.attributes == {"model": "./fakes.py:cannot_be_created", "executed": False}
        assert unset.error
        assert unset.attributes == {
            "model": "gpt-x",
            "provider": "azure.ai.openai",
            "fallback_from": "./fakes.py:cannot_be_created",
            "executed": False,
        }
        assert used.error == ""
        assert used.attributes["fallback_from"] == "azure_openai:gpt-x"
        assert missing.ended_us is not None
        assert unset.ended_us is not None
        assert missing.started_us <= missing.ended_us <= unset.ended_us <= used.started_us
    shown = await served.services.run_traces.of_run(tree.run.run_id)
    assert (shown.totals.model_calls, shown.totals.errors) == (4, 8)


async def test_a_model_whose_circuit_breaker_is_open_has_a_span(sdk: LangGraphClient, served: Served) -> None:
    for _ in range(served.services.settings.breaker_failures):
        await run_and_read(sdk, served.services, "routes")
    tree = await run_and_read(sdk, served.services, "routes")
    refused, used = (span for span in tree.spans if span.kind == "model")
    assert (refused.name, refused.error) == ("./fakes.py:refuses", "breaker.open")
    assert refused.attributes["executed"] is False
    assert used.attributes["fallback_from"] == "./fakes.py:refuses"


async def test_calls_of_tools_registered_or_not(sdk: LangGraphClient, served: Served) -> None:
    tree = await run_and_read(sdk, served.services, "tools")
    names = tree.names_below(tree.only("attempt 1").span_id)
    assert names == [
        ("superstep 1", [("node plain", [("tool plain_tool", [])])]),
        ("superstep 2", [("node registered", [("tool look_up", [])])]),
    ]
    assert tree.only("tool look_up").attributes == {"tool": "look_up"}
    assert tree.only("tool plain_tool").attributes == {"tool": "plain_tool"}
    assert "argument-of-the-tool" not in repr(tree.spans)


async def test_the_span_of_a_tool_is_that_of_the_code_which_it_executes(sdk: LangGraphClient, served: Served) -> None:
    tree = await run_and_read(sdk, served.services, "telling")
    state: Any = await sdk.threads.get_state(tree.run.thread_id)
    assert state["values"]["log"] == ["loop tool", "thread tool", "node", "node tool", "node"]


async def test_a_node_that_asks_people_has_not_failed_and_the_answer_is_in_the_same_trace(
    sdk: LangGraphClient, served: Served
) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    asked = await _end_of(sdk, served, thread, await sdk.runs.create(thread, "asking", input={}))
    answered = await _end_of(sdk, served, thread, await sdk.runs.create(thread, "asking", command={"resume": 5}))
    node = asked.only("node asks")
    assert (node.error, node.attributes) == ("", {"interrupted": True})
    assert asked.only("attempt 1").attributes["phase"] == "waiting_for_approval"
    first, second = asked.run.trace, answered.run.trace
    assert first is not None
    assert second is not None
    assert second.context.trace_id == first.context.trace_id
    assert second.parent_id == first.context.span_id
    assert second.kept
    assert [span.name for span in answered.spans if span.kind == "node"] == ["asks", "last"]
    assert answered.only("attempt 1").parent_id == second.context.span_id != first.context.span_id


async def test_an_answer_that_was_queued_before_the_question_is_in_the_same_trace(
    sdk: LangGraphClient, served: Served, project: ModuleType
) -> None:
    thread, gate = (await sdk.threads.create())["thread_id"], new_id()
    first: Any = await sdk.runs.create(thread, "waits_and_asks", input={"file": gate})
    second: Any = await sdk.runs.create(thread, "waits_and_asks", command={"resume": 5}, multitask_strategy="enqueue")
    project.gates[gate].set()
    asked = await _end_of(sdk, served, thread, first)
    answered = await _end_of(sdk, served, thread, second)
    assert answered.run.resumes == first["run_id"]
    assert answered.known_trace.context.trace_id == asked.known_trace.context.trace_id
    assert answered.known_trace.parent_id == asked.root_id


async def test_a_retry_of_a_run_continues_its_trace(sdk: LangGraphClient, served: Served, client: Any) -> None:
    tree = await run_and_read(sdk, served.services, "failing")
    response = await client.post(f"/ops/runs/{tree.run.run_id}/retry", json={})
    retry = await _end_of(sdk, served, tree.run.thread_id, response.json()["run"])
    assert tree.run.trace is not None
    assert retry.run.trace is not None
    assert retry.run.trace.context.trace_id == tree.run.trace.context.trace_id
    assert retry.run.trace.parent_id == tree.root_id
    assert retry.only("node fails").error == "ValueError"


async def test_a_cancelled_node(sdk: LangGraphClient, served: Served) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    run: Any = await sdk.runs.create(thread, "waiting", input={"file": new_id()})
    await wait_until(lambda: _starts(served, thread, run["run_id"], "node waits"))
    await sdk.runs.cancel(thread, run["run_id"], wait=True)
    tree = await tree_of(served.services, thread, run["run_id"])
    assert [tree.only(each).error for each in ("attempt 1", "superstep 2", "node waits")] == ["cancelled"] * 3
    assert tree.only("attempt 1").attributes["phase"] == "cancelled"
    assert all(span.ended_us for span in tree.spans)


async def test_a_node_that_a_ceiling_stops_has_the_code_of_the_ceiling(sdk: LangGraphClient, served: Served) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    ceilings: Any = {"configurable": {"ceilings": {"max_active_s": 1}}}
    await sdk.runs.wait(thread, "waiting", input={"file": new_id()}, config=ceilings, raise_error=False)
    (run,) = await sdk.runs.list(thread)
    tree = await tree_of(served.services, thread, run["run_id"])
    found = {tree.only(each).error for each in ("attempt 1", "superstep 2", "node waits")}
    assert found == {"ceiling.time"}


async def test_what_executes_is_stored_before_it_has_ended(
    sdk: LangGraphClient, served: Served, project: ModuleType
) -> None:
    thread, gate = (await sdk.threads.create())["thread_id"], new_id()
    run: Any = await sdk.runs.create(thread, "waiting", input={"file": gate})
    await wait_until(lambda: _starts(served, thread, run["run_id"], "node waits"))
    tree = await tree_of(served.services, thread, run["run_id"])
    assert [f"{span.kind} {span.name}" for span in tree.spans if span.ended_us is None] == [
        "attempt 1",
        "superstep 2",
        "node waits",
    ]
    shown = await served.services.run_traces.of_run(run["run_id"])
    (attempt,) = [each.span for _, each in shown.spans if each.span.kind is SpanKind.ATTEMPT]
    assert attempt.attributes["number"] == 1
    assert "worker" in attempt.attributes
    project.gates[gate].set()
    await sdk.runs.join(thread, run["run_id"])
    assert all(span.ended_us for span in (await tree_of(served.services, thread, run["run_id"])).spans)


async def test_a_tool_that_takes_long_is_stored_while_it_executes(
    sdk: LangGraphClient, served: Served, project: ModuleType
) -> None:
    thread, gate = (await sdk.threads.create())["thread_id"], new_id()
    run: Any = await sdk.runs.create(thread, "slow_tool", input={"file": gate})
    await wait_until(lambda: _starts(served, thread, run["run_id"], "tool wait_in_tool"))
    tree = await tree_of(served.services, thread, run["run_id"])
    assert tree.only("tool wait_in_tool").ended_us is None
    project.gates[gate].set()
    await sdk.runs.join(thread, run["run_id"])
    ended = await tree_of(served.services, thread, run["run_id"])
    assert ended.only("tool wait_in_tool").ended_us
    assert ended.names == [("attempt 1", [("superstep 1", [("node waits", [("tool wait_in_tool", [])])])])]


async def test_an_inline_run_in_a_web_process(sdk: LangGraphClient, served: Served) -> None:
    tree = await run_and_read(sdk, served.services, "inline")
    assert tree.names == [("attempt 1", [("superstep 1", [("node step", [])])])]


async def test_a_run_that_a_node_creates_is_below_the_span_of_the_node(sdk: LangGraphClient, served: Served) -> None:
    tree = await run_and_read(sdk, served.services, "starting")
    state: Any = await sdk.threads.get_state(tree.run.thread_id)
    thread, run_id = state["values"]["log"][0].split()
    created = await tree_of(served.services, thread, run_id)
    assert created.known_trace.context.trace_id == tree.known_trace.context.trace_id
    assert created.known_trace.parent_id == tree.only("node starts").span_id
    assert created.names == [("attempt 1", [("superstep 1", [("node step", [])])])]


async def test_the_spans_of_a_run_are_deleted_with_its_thread(
    sdk: LangGraphClient, served: Served, pipeline: Any, keys: Any
) -> None:
    tree = await run_and_read(sdk, served.services, "three")
    assert await pipeline.send("EXISTS", keys.run_trace(tree.run.run_id)) == 1
    await sdk.threads.delete(tree.run.thread_id)
    assert await counted_bytes(pipeline, keys) == 0
    assert await pipeline.send("EXISTS", keys.run_trace(tree.run.run_id), keys.traces) == 0


async def test_nothing_stays_of_a_stateless_run(sdk: LangGraphClient, served: Served, pipeline: Any, keys: Any) -> None:
    await asyncio.gather(
        *(sdk.runs.wait(None, graph, input={}, raise_error=False) for graph in ("one", "three", "failing", "asking"))
    )
    assert await counted_bytes(pipeline, keys) == 0
    assert await pipeline.send("EXISTS", keys.traces) == 0


async def test_every_attribute_is_declared_in_the_table(sdk: LangGraphClient, served: Served) -> None:
    for graph in ("three", "failing", "models", "routes", "tools", "asking"):
        for span in (await run_and_read(sdk, served.services, graph)).spans:
            declared = {attribute.name for attribute in SPAN_TYPES[span.kind].attributes}
            assert set(span.attributes) <= declared, span


async def _end_of(sdk: Any, served: Served, thread: str, run: Any) -> RunTree:
    await sdk.runs.join(thread, run["run_id"])
    return await tree_of(served.services, thread, run["run_id"])


async def _starts(served: Served, thread: str, run_id: str, name: str) -> bool:
    return bool((await tree_of(served.services, thread, run_id)).named(name))
