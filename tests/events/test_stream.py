"""The event protocol of a thread over SSE, read without an SDK."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from slipway.graphs.registry import Registry
from slipway.settings import Settings
from slipway_workers.process import WorkerProcess
from tests.events.conftest import (
    ALL_CHANNELS,
    DEADLINE_S,
    data_of,
    event_stream,
    is_completed,
    is_root,
    read_until,
    receive_until,
    send_command,
    start_run,
)
from tests.http.conftest import serving
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("worker")
HUMAN: dict[str, Any] = {"messages": [{"type": "human", "content": "hello", "id": "h1"}]}


async def test_a_stream_opens_before_its_thread_exists_and_stays_open_after_a_run(
    client: httpx.AsyncClient, thread: str
) -> None:
    async with event_stream(client, thread) as events:
        first = await start_run(client, thread, "talk", input=HUMAN)
        received = await receive_until(events, is_completed)
        second = await start_run(client, thread, "talk", input=HUMAN)
        received += await receive_until(events, is_completed)
    ends = [event["event_id"] for event in received if is_root(event)]
    assert ends == [f"synth:{run}:lc||{status}" for run in (first, second) for status in ("running", "completed")]
    assert [event["seq"] for event in received] == sorted({event["seq"] for event in received})


async def test_messages_are_streamed_as_content_blocks(client: httpx.AsyncClient, thread: str) -> None:
    await start_run(client, thread, "talk", input=HUMAN)
    received = await read_until(client, thread, is_completed)
    messages = data_of(received, "messages")
    assert [data["event"] for data in messages[:2]] == ["message-start", "content-block-start"]
    assert messages[0]["role"] == "ai"
    assert [data["event"] for data in messages[-2:]] == ["content-block-finish", "message-finish"]
    deltas = [data["delta"]["text"] for data in messages if data["event"] == "content-block-delta"]
    assert len(deltas) > 1
    assert "".join(deltas) == messages[-2]["content"]["text"] == "you said hello"
    values = data_of(received, "values")[-1]["messages"]
    assert [message["type"] for message in values] == ["human", "ai"]
    assert values[-1]["id"] == messages[0]["id"]
    assert "additional_kwargs" not in values[0]


async def test_a_checkpoint_precedes_its_values(client: httpx.AsyncClient, thread: str) -> None:
    await start_run(client, thread, "steps", input={"until": 2})
    received = [
        event
        for event in await read_until(client, thread, is_completed)
        if event["method"] in ("checkpoints", "values")
    ]
    assert [event["method"] for event in received] == ["checkpoints"] + ["checkpoints", "values"] * 3
    checkpoints = data_of(received, "checkpoints")
    assert [data["step"] for data in checkpoints] == [-1, 0, 1, 2]
    assert [data.get("parent_id") for data in checkpoints[1:]] == [data["id"] for data in checkpoints[:-1]]
    history = (await client.post(f"/threads/{thread}/history", json={"limit": 10})).json()
    assert [data["id"] for data in checkpoints] == [state["checkpoint_id"] for state in reversed(history)]
    assert data_of(received, "values")[-1] == {"at": 2, "until": 2, "seen": [1, 2]}


async def test_updates_custom_data_and_tasks_are_streamed(client: httpx.AsyncClient, thread: str) -> None:
    await start_run(client, thread, "steps", input={"until": 1})
    received = await read_until(client, thread, is_completed)
    (update,) = [event for event in received if event["method"] == "updates"]
    assert (update["params"]["node"], update["params"]["data"]) == ("step", {"at": 1, "seen": [1]})
    assert data_of(received, "custom") == [{"at": 1}]
    assert [set(data) & {"input", "result"} for data in data_of(received, "tasks")] == [{"input"}, {"result"}]


async def test_tool_events_show_results_and_errors(client: httpx.AsyncClient, thread: str) -> None:
    await start_run(client, thread, "agent", input=HUMAN)
    events = await read_until(client, thread, is_completed)
    assert {event["params"].get("node") for event in events if event["method"] == "tools"} == {"tools"}
    received = data_of(events, "tools")
    assert {(data["event"], data["tool_call_id"]) for data in received} == {
        ("tool-started", "call-1"),
        ("tool-finished", "call-1"),
        ("tool-started", "call-2"),
        ("tool-error", "call-2"),
    }


async def test_events_of_a_subgraph_have_its_namespace_lifecycle_and_interrupt(
    client: httpx.AsyncClient, thread: str
) -> None:
    run = await start_run(client, thread, "team", input=HUMAN)
    received = await read_until(client, thread, lambda event: is_root(event, "interrupted"))
    (request,) = [event for event in received if event["method"] == "input.requested"]
    namespace = request["params"]["namespace"]
    assert [segment.partition(":")[0] for segment in namespace] == ["member"]
    data = request["params"]["data"]
    assert data["payload"] == data["value"] == {"ok?": True}
    assert request["event_id"] == f"synth:{run}:input|{namespace[0]}|{data['interrupt_id']}"
    assert [data["event"] for data in data_of(received, "lifecycle", namespace)] == ["started", "interrupted"]
    assert "".join(
        part["delta"]["text"]
        for part in data_of(received, "messages", namespace)
        if part["event"] == "content-block-delta"
    ) == ("you said hello")
    reply = await send_command(
        client, thread, "input.respond", interrupt_id=data["interrupt_id"], response="fine", namespace=namespace
    )
    assert reply["type"] == "success", reply
    assert reply["meta"]["applied_through_seq"] >= received[-1]["seq"]
    remaining = await read_until(client, thread, is_completed, since=received[-1]["seq"])
    assert data_of(remaining, "input.answered") == [{"interrupt_ids": [data["interrupt_id"]]}]
    assert data_of(remaining, "values")[-1]["messages"][-1]["content"] == "approved: fine"


async def test_every_connection_receives_the_same_events(client: httpx.AsyncClient, thread: str) -> None:
    """See `test_equal_connections.py` for the event ids."""
    async with (
        event_stream(client, thread) as unfiltered,
        event_stream(client, thread, channels=["values", "lifecycle"]) as two_channels,
    ):
        await start_run(client, thread, "steps", input={"until": 5})
        complete, filtered = (
            await receive_until(unfiltered, is_completed),
            await receive_until(two_channels, is_completed),
        )
    assert await read_until(client, thread, is_completed) == complete
    assert filtered == [event for event in complete if event["method"] in ("values", "lifecycle")]
    since = complete[len(complete) // 2]["seq"]
    assert await read_until(client, thread, is_completed, since=since) == [
        event for event in complete if event["seq"] > since
    ]


async def test_the_end_of_a_run_is_streamed_after_it_is_stored(
    client: httpx.AsyncClient, sdk: LangGraphClient, thread: str
) -> None:
    async with event_stream(client, thread, channels=["lifecycle"]) as events:
        run = await start_run(client, thread, "steps", input={"until": 1})
        await receive_until(events, is_completed)
        assert (await sdk.runs.get(thread, run))["status"] == "success"
        assert (await sdk.threads.get(thread))["status"] == "idle"


async def test_the_event_failed_has_the_error(client: httpx.AsyncClient, thread: str) -> None:
    await start_run(client, thread, "breaks", input={})
    received = await read_until(client, thread, lambda event: is_root(event, "failed"))
    assert received[-1]["params"]["data"]["error"] == "it broke"


async def test_cancelled_runs_end_as_interrupted_and_failed(
    client: httpx.AsyncClient, sdk: LangGraphClient, thread: str
) -> None:
    running = await start_run(client, thread, "hold", input={})
    await read_until(client, thread, lambda event: is_root(event, "running"))
    waiting = await start_run(client, thread, "hold", input={})
    await sdk.runs.cancel(thread, waiting)
    await sdk.runs.cancel(thread, running)
    received = await read_until(client, thread, lambda event: is_root(event, "failed", waiting), channels=["lifecycle"])
    assert [event["event_id"] for event in received] == [
        f"synth:{run}:lc||{status}"
        for run, statuses in (
            (running, ("running", "interrupted", "failed")),
            (waiting, ("interrupted", "failed")),
        )
        for status in statuses
    ]
    assert received[-1]["params"]["data"]["error"] == "cancelled"


async def test_runs_of_the_plain_routes_are_streamed(client: httpx.AsyncClient, sdk: LangGraphClient) -> None:
    thread = str((await sdk.threads.create())["thread_id"])
    run = await sdk.runs.create(thread, "talk", input=HUMAN, stream_mode=["values", "messages"])
    received = await read_until(client, thread, is_completed)
    assert received[0]["event_id"] == f"synth:{run['run_id']}:lc||running"
    assert len(data_of(received, "values")) == 2
    finished = [
        data["content"]["text"] for data in data_of(received, "messages") if data["event"] == "content-block-finish"
    ]
    assert "you said hello" in finished


async def test_the_interrupt_of_a_plain_run_is_streamed_in_any_stream_mode(
    client: httpx.AsyncClient, sdk: LangGraphClient
) -> None:
    thread = str((await sdk.threads.create())["thread_id"])
    await sdk.runs.create(thread, "team", input=HUMAN, stream_mode="custom")
    received = await read_until(client, thread, lambda event: is_root(event, "interrupted"))
    assert [data["value"] for data in data_of(received, "input.requested")] == [{"ok?": True}]


@pytest.mark.parametrize("mode", ["values", "custom"])
async def test_a_plain_run_at_a_breakpoint_is_interrupted_in_any_stream_mode(
    client: httpx.AsyncClient, sdk: LangGraphClient, mode: Any
) -> None:
    thread = str((await sdk.threads.create())["thread_id"])
    graph_input = {"until": 3}
    run = await sdk.runs.create(thread, "steps", input=graph_input, stream_mode=mode, interrupt_after=["step"])
    received = await read_until(client, thread, is_completed, channels=["lifecycle", "input"])
    # some clients wait for an interrupt or an end event, the others use the first status
    statuses = ("running", "interrupted", "completed")
    assert [event["event_id"] for event in received] == [f"synth:{run['run_id']}:lc||{status}" for status in statuses]
    assert (await send_command(client, thread, "agent.getTree"))["result"]["tree"]["status"] == "interrupted"


@pytest.mark.parametrize("mode", ["values", "updates", "custom"])
async def test_a_run_with_a_breakpoint_after_the_last_node_completes(
    client: httpx.AsyncClient, sdk: LangGraphClient, mode: Any
) -> None:
    thread = str((await sdk.threads.create())["thread_id"])
    run = await sdk.runs.create(thread, "steps", input={"until": 1}, stream_mode=mode, interrupt_after=["step"])
    received = await read_until(client, thread, is_completed, channels=["lifecycle", "input"])
    assert [event["event_id"] for event in received] == [
        f"synth:{run['run_id']}:lc||{status}" for status in ("running", "completed")
    ]
    assert (await send_command(client, thread, "agent.getTree"))["result"]["tree"]["status"] == "completed"


async def test_the_agent_tree_shows_the_status_of_each_subgraph(
    client: httpx.AsyncClient, sdk: LangGraphClient, thread: str
) -> None:
    run = await start_run(client, thread, "outer", input={"until": 1})
    received = await read_until(client, thread, lambda event: len(event["params"]["namespace"]) == 2)
    namespace = received[-1]["params"]["namespace"]
    (steps,) = {
        tuple(event["params"]["namespace"]) for event in received if "steps" in str(event["params"]["namespace"])
    }
    tree = (await send_command(client, thread, "agent.getTree"))["result"]["tree"]
    deepest = {"namespace": namespace, "status": "started", "graph_name": "hold"}
    assert tree == {
        "namespace": [],
        "status": "running",
        "graph_name": "outer",
        "children": [
            {"namespace": list(steps), "status": "completed", "graph_name": "steps"},
            {"namespace": namespace[:1], "status": "started", "graph_name": "holds", "children": [deepest]},
        ],
    }
    await sdk.runs.cancel(thread, run, wait=True)
    await sdk.runs.wait(thread, "steps", input={"until": 1})
    assert (await send_command(client, thread, "agent.getTree"))["result"]["tree"]["graph_name"] == "steps"
    tree = (await send_command(client, thread, "agent.getTree", run_id=run))["result"]["tree"]
    assert [tree["status"], *(child["status"] for child in tree["children"])] == [
        *("interrupted", "completed", "interrupted")
    ]


async def test_namespaces_and_depth_filter_events(client: httpx.AsyncClient, thread: str) -> None:
    await start_run(client, thread, "team", input=HUMAN)
    is_interrupted = lambda event: is_root(event, "interrupted")  # noqa: E731
    at_root = await read_until(client, thread, is_interrupted, namespaces=[[]], depth=0)
    assert {len(event["params"]["namespace"]) for event in at_root} == {0}
    filters = {"channels": ALL_CHANNELS, "namespaces": [["member"]]}
    last = [event["seq"] for event in await read_until(client, thread, is_interrupted) if event["params"]["namespace"]][
        -1
    ]
    received = await read_until(client, thread, lambda event: event["seq"] == last, **filters)
    assert {event["params"]["namespace"][0].partition(":")[0] for event in received} == {"member"}


@pytest.mark.parametrize("body", [{"channels": []}, {"channels": ["nonsense"]}, {"channels": ["custom:"]}, {}])
async def test_an_unknown_channel_is_rejected(client: httpx.AsyncClient, thread: str, body: Any) -> None:
    response = await client.post(f"/threads/{thread}/stream/events", json=body)
    assert response.status_code == 400
    assert "channels" in response.json()["detail"]


async def test_the_response_of_a_disconnected_client_is_closed(
    client: httpx.AsyncClient, thread: str, served: Any, worker: WorkerProcess
) -> None:
    async with event_stream(client, thread) as events:
        await start_run(client, thread, "steps", input={"until": 1})
        await receive_until(events, is_completed)
        assert len(served.app.state.responses_in_progress) == 1
    await wait_until(lambda: len(served.app.state.responses_in_progress) == 0)


async def test_the_response_to_a_rejected_command_has_an_error_code(client: httpx.AsyncClient, thread: str) -> None:
    async def code(method: str, **params: Any) -> str:
        return str((await send_command(client, thread, method, **params))["error"])

    assert await code("no.such") == "unknown_command"
    assert await code("run.start", assistant_id="no_such_graph") == "invalid_argument"
    assert await code("run.start") == "invalid_argument"
    assert await code("input.respond", interrupt_id="0" * 32, response=1) == "no_such_run"
    assert await code("agent.getTree") == "no_such_run"
    await start_run(client, thread, "steps", input={"until": 1})
    await read_until(client, thread, is_completed)
    assert await code("input.respond", interrupt_id="0" * 32, response=1) == "no_such_interrupt"
    config = {"configurable": {"checkpoint_id": "not one"}}
    assert await code("run.start", assistant_id="steps", config=config) == "invalid_argument"
    tree = await send_command(client, thread, "agent.getTree")
    assert tree["result"] == {"tree": {"namespace": [], "status": "completed", "graph_name": "steps"}}
    assert await code("agent.getTree", run_id="one") == "invalid_argument"
    assert await code("agent.getTree", run_id=str(uuid4())) == "no_such_run"


@pytest.mark.parametrize("body", [b"", b"[]", b'{"method": "run.start"}', b'{"id": "1", "method": "run.start"}'])
async def test_a_body_that_is_not_a_command_gets_400(client: httpx.AsyncClient, thread: str, body: bytes) -> None:
    json_type = {"content-type": "application/json"}
    response = await client.post(f"/threads/{thread}/commands", content=body, headers=json_type)
    assert response.status_code == 400
    assert response.json()["id"] is None


async def test_the_input_of_a_run_on_an_interrupted_thread_is_the_answer(
    client: httpx.AsyncClient, thread: str
) -> None:
    await start_run(client, thread, "team", input=HUMAN)
    await read_until(client, thread, lambda event: is_root(event, "interrupted"))
    # the interrupted run has ended when its event `interrupted` is sent
    await start_run(client, thread, "team", input="yes")
    received = await read_until(client, thread, is_completed)
    assert data_of(received, "values")[-1]["messages"][-1]["content"] == "approved: yes"


async def test_a_server_that_stops_disconnects_its_streams(settings: Settings, graphs: Registry, thread: str) -> None:
    """Clients would take a complete response for the end of the run."""
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(serving(settings, graphs))
        socket_url = f"{served.url.replace('http', 'ws', 1)}/threads/{thread}/stream/events"
        async with (
            httpx.AsyncClient(base_url=served.url) as client,
            event_stream(client, thread) as events,
            connect(socket_url) as socket,
        ):
            stopping = asyncio.create_task(stack.aclose())
            with pytest.raises(httpx.RemoteProtocolError):
                await receive_until(events, is_completed)
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(socket.recv(), DEADLINE_S)
            await stopping
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012


async def test_the_error_of_a_rejected_answer_names_the_pending_interrupts(
    client: httpx.AsyncClient, sdk: LangGraphClient, thread: str
) -> None:
    await start_run(client, thread, "team", input=HUMAN)
    received = await read_until(client, thread, lambda event: is_root(event, "interrupted"))
    (request,) = data_of(received, "input.requested")
    unknown_id = "f" * 32
    resume: Any = {"resume": {unknown_id: "?"}}
    await client.post(
        f"/threads/{thread}/runs", json={"assistant_id": "team", "command": resume, "strict_resume": True}
    )
    end = (await read_until(client, thread, lambda event: is_root(event, "failed")))[-1]["params"]["data"]
    assert (end["reason"], end["interrupt_ids"]) == ("not_pending", [unknown_id])
    assert end["pending_ids"] == [request["interrupt_id"]]
    assert unknown_id in end["error"]


async def test_channels_of_transformers_are_named_custom_channels(client: httpx.AsyncClient, thread: str) -> None:
    await start_run(client, thread, "shown", input={"until": 2})
    received = await read_until(client, thread, is_completed, channels=["custom:progress", "lifecycle"])
    assert data_of(received, "custom") == [{"name": "progress", "payload": {"done": at}} for at in (1, 2)]
    assert len(data_of(await read_until(client, thread, is_completed, channels=["custom", "lifecycle"]), "custom")) == 4
