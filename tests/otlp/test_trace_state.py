"""What other systems say about a trace (`tracestate`) is passed on with it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient

from slipway.webhook_endpoints.store import EndpointChange
from tests.http.conftest import Served
from tests.otlp.receiver import Received
from tests.otlp.test_runs import CALLER, CREATE, TRACE
from tests.waiting import wait_until
from tests.webhooks.conftest import Receiver

PARENT, STATE = f"00-{TRACE}-{CALLER}-01", "ot=th:8,vendor=a b"

pytestmark = pytest.mark.usefixtures("exported", "worker")


async def executed(sdk: LangGraphClient, graph: str, headers: dict[str, str]) -> tuple[str, dict[str, Any]]:
    thread = (await sdk.threads.create())["thread_id"]
    run: Any = await sdk.runs.create(thread, graph, input={}, headers=headers)
    return thread, dict(await sdk.runs.join(thread, run["run_id"]))


async def test_spans_of_the_project_and_runs_of_nodes_have_it(sdk: LangGraphClient, exported: Received) -> None:
    headers = {"traceparent": PARENT, "tracestate": STATE}
    _, values = await executed(sdk, "spans", headers)
    await executed(sdk, "calls", headers)
    await exported.until("invoke_agent spans", "invoke_agent one", "invoke_agent calls", "in a node")
    assert values["log"][1] == STATE
    assert {each.state for each in exported.spans if each.name != CREATE} == {STATE}


async def test_an_answer_continues_with_it(sdk: LangGraphClient, exported: Received) -> None:
    thread, _ = await executed(sdk, "asking", {"traceparent": PARENT, "tracestate": STATE})
    other = {"traceparent": PARENT.replace(TRACE, "a" * 32), "tracestate": "other=1"}
    run: Any = await sdk.runs.create(thread, "asking", command={"resume": 5}, headers=other)
    await sdk.runs.join(thread, run["run_id"])
    await wait_until(lambda: len(exported.all_named("invoke_agent asking")) == 2)
    first, answer = exported.all_named("invoke_agent asking")
    assert (answer.trace_id, answer.parent_id, answer.state) == (TRACE, first.span_id, STATE)
    assert [trace_id for trace_id, _ in answer.links] == ["a" * 32]


async def test_webhooks_have_it(sdk: LangGraphClient, served: Served) -> None:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.handle, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
        await served.services.webhook_endpoints.add(EndpointChange(url=url, types=["run.completed"]), by="ann")
        await executed(sdk, "one", {"traceparent": PARENT, "tracestate": STATE})
        await executed(sdk, "one", {})
        await wait_until(lambda: len(receiver.headers) == 2)
    assert sorted(headers.get("tracestate", "") for headers in receiver.headers) == ["", STATE]


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": PARENT, "tracestate": "not valid"},
        {"traceparent": "not valid", "tracestate": STATE},
        {"tracestate": STATE},
    ],
)
async def test_what_is_not_valid_is_not_passed_on(
    sdk: LangGraphClient, exported: Received, headers: dict[str, str]
) -> None:
    _, values = await executed(sdk, "spans", headers)
    await exported.until("invoke_agent spans", "in a node")
    assert values["log"][1] == ""
    assert {each.state for each in exported.spans} == {""}
