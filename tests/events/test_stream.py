"""What a thread tells by the event protocol, read without an SDK."""

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
from tests.conftest import wait_until
from tests.events.conftest import (
    DEADLINE_S,
    EVERY,
    command,
    completed,
    listening,
    named,
    root,
    start,
    told,
    until,
)
from tests.http.conftest import serving

pytestmark = pytest.mark.usefixtures("worker")
HUMAN: dict[str, Any] = {"messages": [{"type": "human", "content": "hello", "id": "h1"}]}


async def test_a_stream_is_open_before_its_thread_exists_and_stays_open_after_a_run(
    client: httpx.AsyncClient, thread: str
) -> None:
    async with listening(client, thread) as events:
        first = await start(client, thread, "talk", input=HUMAN)
        heard = await until(events, completed)
        second = await start(client, thread, "talk", input=HUMAN)
        heard += await until(events, completed)
    ends = [event["event_id"] for event in heard if root(event)]
    assert ends == [f"synth:{run}:lc||{word}" for run in (first, second) for word in ("running", "completed")]
    assert [event["seq"] for event in heard] == sorted({event["seq"] for event in heard})


async def test_messages_are_told_block_by_block(client: httpx.AsyncClient, thread: str) -> None:
    await start(client, thread, "talk", input=HUMAN)
    heard = await told(client, thread, completed)
    said = named(heard, "messages")
    assert [data["event"] for data in said[:2]] == ["message-start", "content-block-start"]
    assert said[0]["role"] == "ai"
    assert [data["event"] for data in said[-2:]] == ["content-block-finish", "message-finish"]
    deltas = [data["delta"]["text"] for data in said if data["event"] == "content-block-delta"]
    assert len(deltas) > 1
    assert "".join(deltas) == said[-2]["content"]["text"] == "you said hello"
    values = named(heard, "values")[-1]["messages"]
    assert [message["type"] for message in values] == ["human", "ai"]
    assert values[-1]["id"] == said[0]["id"]
    assert "additional_kwargs" not in values[0]


async def test_a_checkpoint_comes_just_before_its_values(client: httpx.AsyncClient, thread: str) -> None:
    await start(client, thread, "steps", input={"until": 2})
    heard = [event for event in await told(client, thread, completed) if event["method"] in ("checkpoints", "values")]
    assert [event["method"] for event in heard] == ["checkpoints"] + ["checkpoints", "values"] * 3
    shown = named(heard, "checkpoints")
    assert [data["step"] for data in shown] == [-1, 0, 1, 2]
    assert [data.get("parent_id") for data in shown[1:]] == [data["id"] for data in shown[:-1]]
    history = (await client.post(f"/threads/{thread}/history", json={"limit": 10})).json()
    assert [data["id"] for data in shown] == [state["checkpoint_id"] for state in reversed(history)]
    assert named(heard, "values")[-1] == {"at": 2, "until": 2, "seen": [1, 2]}


async def test_updates_custom_and_tasks(client: httpx.AsyncClient, thread: str) -> None:
    await start(client, thread, "steps", input={"until": 1})
    heard = await told(client, thread, completed)
    (update,) = [event for event in heard if event["method"] == "updates"]
    assert (update["params"]["node"], update["params"]["data"]) == ("step", {"at": 1, "seen": [1]})
    assert named(heard, "custom") == [{"at": 1}]
    assert [set(data) & {"input", "result"} for data in named(heard, "tasks")] == [{"input"}, {"result"}]


async def test_tools_tell_how_they_went(client: httpx.AsyncClient, thread: str) -> None:
    await start(client, thread, "agent", input=HUMAN)
    events = await told(client, thread, completed)
    assert {event["params"].get("node") for event in events if event["method"] == "tools"} == {"tools"}
    heard = named(events, "tools")
    assert {(data["event"], data["tool_call_id"]) for data in heard} == {
        ("tool-started", "call-1"),
        ("tool-finished", "call-1"),
        ("tool-started", "call-2"),
        ("tool-error", "call-2"),
    }


async def test_a_graph_inside_has_its_namespace_its_lifecycle_and_its_question(
    client: httpx.AsyncClient, thread: str
) -> None:
    run = await start(client, thread, "team", input=HUMAN)
    heard = await told(client, thread, lambda event: root(event, "interrupted"))
    (asked,) = [event for event in heard if event["method"] == "input.requested"]
    namespace = asked["params"]["namespace"]
    assert [segment.partition(":")[0] for segment in namespace] == ["member"]
    data = asked["params"]["data"]
    assert data["payload"] == data["value"] == {"ok?": True}
    assert asked["event_id"] == f"synth:{run}:input|{namespace[0]}|{data['interrupt_id']}"
    assert [inside["event"] for inside in named(heard, "lifecycle", namespace)] == ["started", "interrupted"]
    assert "".join(
        part["delta"]["text"] for part in named(heard, "messages", namespace) if part["event"] == "content-block-delta"
    ) == ("you said hello")
    answer = await command(
        client, thread, "input.respond", interrupt_id=data["interrupt_id"], response="fine", namespace=namespace
    )
    assert answer["type"] == "success", answer
    assert answer["meta"]["applied_through_seq"] >= heard[-1]["seq"]
    rest = await told(client, thread, completed, since=heard[-1]["seq"])
    assert named(rest, "input.answered") == [{"interrupt_ids": [data["interrupt_id"]]}]
    assert named(rest, "values")[-1]["messages"][-1]["content"] == "approved: fine"


async def test_every_connection_is_told_the_same(client: httpx.AsyncClient, thread: str) -> None:
    """Trap 19."""
    async with listening(client, thread) as live, listening(client, thread, channels=["values", "lifecycle"]) as few:
        await start(client, thread, "steps", input={"until": 5})
        whole, part = await until(live, completed), await until(few, completed)
    assert await told(client, thread, completed) == whole
    assert part == [event for event in whole if event["method"] in ("values", "lifecycle")]
    since = whole[len(whole) // 2]["seq"]
    assert await told(client, thread, completed, since=since) == [event for event in whole if event["seq"] > since]


async def test_the_end_is_told_after_it_is_stored(client: httpx.AsyncClient, sdk: LangGraphClient, thread: str) -> None:
    async with listening(client, thread, channels=["lifecycle"]) as events:
        run = await start(client, thread, "steps", input={"until": 1})
        await until(events, completed)
        assert (await sdk.runs.get(thread, run))["status"] == "success"
        assert (await sdk.threads.get(thread))["status"] == "idle"


async def test_a_failure_says_why(client: httpx.AsyncClient, thread: str) -> None:
    await start(client, thread, "breaks", input={})
    heard = await told(client, thread, lambda event: root(event, "failed"))
    assert heard[-1]["params"]["data"]["error"] == "it broke"


async def test_cancelled_runs_end_for_everybody(client: httpx.AsyncClient, sdk: LangGraphClient, thread: str) -> None:
    running = await start(client, thread, "hold", input={})
    await told(client, thread, lambda event: root(event, "running"))
    waiting = await start(client, thread, "hold", input={})
    await sdk.runs.cancel(thread, waiting)
    await sdk.runs.cancel(thread, running)
    heard = await told(client, thread, lambda event: root(event, "failed", waiting), channels=["lifecycle"])
    assert [event["event_id"] for event in heard] == [
        f"synth:{run}:lc||{word}"
        for run, words in (
            (running, ("running", "interrupted", "failed")),
            (waiting, ("interrupted", "failed")),
        )
        for word in words
    ]
    assert heard[-1]["params"]["data"]["error"] == "cancelled"


async def test_runs_of_the_plain_routes_are_told_too(client: httpx.AsyncClient, sdk: LangGraphClient) -> None:
    thread = str((await sdk.threads.create())["thread_id"])
    run = await sdk.runs.create(thread, "talk", input=HUMAN, stream_mode=["values", "messages"])
    heard = await told(client, thread, completed)
    assert heard[0]["event_id"] == f"synth:{run['run_id']}:lc||running"
    assert len(named(heard, "values")) == 2
    finished = [data["content"]["text"] for data in named(heard, "messages") if data["event"] == "content-block-finish"]
    assert "you said hello" in finished


async def test_a_plain_run_that_asks_is_told_whatever_it_streams(
    client: httpx.AsyncClient, sdk: LangGraphClient
) -> None:
    thread = str((await sdk.threads.create())["thread_id"])
    await sdk.runs.create(thread, "team", input=HUMAN, stream_mode="custom")
    heard = await told(client, thread, lambda event: root(event, "interrupted"))
    assert [data["value"] for data in named(heard, "input.requested")] == [{"ok?": True}]


@pytest.mark.parametrize("mode", ["values", "custom"])
async def test_a_plain_run_at_a_breakpoint_is_interrupted_whatever_it_streams(
    client: httpx.AsyncClient, sdk: LangGraphClient, mode: Any
) -> None:
    thread = str((await sdk.threads.create())["thread_id"])
    given = {"until": 3}
    run = await sdk.runs.create(thread, "steps", input=given, stream_mode=mode, interrupt_after=["step"])
    heard = await told(client, thread, completed, channels=["lifecycle", "input"])
    # some clients wait for a question or for an end; the others take the first word
    words = ("running", "interrupted", "completed")
    assert [event["event_id"] for event in heard] == [f"synth:{run['run_id']}:lc||{word}" for word in words]
    assert (await command(client, thread, "agent.getTree"))["result"]["tree"]["status"] == "interrupted"


@pytest.mark.parametrize("mode", ["values", "updates", "custom"])
async def test_a_breakpoint_behind_the_last_node_ends_the_run(
    client: httpx.AsyncClient, sdk: LangGraphClient, mode: Any
) -> None:
    thread = str((await sdk.threads.create())["thread_id"])
    run = await sdk.runs.create(thread, "steps", input={"until": 1}, stream_mode=mode, interrupt_after=["step"])
    heard = await told(client, thread, completed, channels=["lifecycle", "input"])
    assert [event["event_id"] for event in heard] == [
        f"synth:{run['run_id']}:lc||{word}" for word in ("running", "completed")
    ]
    assert (await command(client, thread, "agent.getTree"))["result"]["tree"]["status"] == "completed"


async def test_the_tree_of_a_run(client: httpx.AsyncClient, sdk: LangGraphClient, thread: str) -> None:
    run = await start(client, thread, "outer", input={"until": 1})
    heard = await told(client, thread, lambda event: len(event["params"]["namespace"]) == 2)
    namespace = heard[-1]["params"]["namespace"]
    (steps,) = {tuple(event["params"]["namespace"]) for event in heard if "steps" in str(event["params"]["namespace"])}
    tree = (await command(client, thread, "agent.getTree"))["result"]["tree"]
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
    assert (await command(client, thread, "agent.getTree"))["result"]["tree"]["graph_name"] == "steps"
    tree = (await command(client, thread, "agent.getTree", run_id=run))["result"]["tree"]
    assert [tree["status"], *(child["status"] for child in tree["children"])] == [
        *("interrupted", "completed", "interrupted")
    ]


async def test_filters(client: httpx.AsyncClient, thread: str) -> None:
    await start(client, thread, "team", input=HUMAN)
    stop = lambda event: root(event, "interrupted")  # noqa: E731
    at_root = await told(client, thread, stop, namespaces=[[]], depth=0)
    assert {len(event["params"]["namespace"]) for event in at_root} == {0}
    inside = {"channels": EVERY, "namespaces": [["member"]]}
    last = [event["seq"] for event in await told(client, thread, stop) if event["params"]["namespace"]][-1]
    heard = await told(client, thread, lambda event: event["seq"] == last, **inside)
    assert {event["params"]["namespace"][0].partition(":")[0] for event in heard} == {"member"}


@pytest.mark.parametrize("body", [{"channels": []}, {"channels": ["nonsense"]}, {"channels": ["custom:"]}, {}])
async def test_a_channel_that_there_is_not_is_refused(client: httpx.AsyncClient, thread: str, body: Any) -> None:
    answer = await client.post(f"/threads/{thread}/stream/events", json=body)
    assert answer.status_code == 400
    assert "channels" in answer.json()["detail"]


async def test_a_client_that_leaves_is_noticed(
    client: httpx.AsyncClient, thread: str, served: Any, worker: WorkerProcess
) -> None:
    async with listening(client, thread) as events:
        await start(client, thread, "steps", input={"until": 1})
        await until(events, completed)
        assert len(served.app.state.responses_in_progress) == 1
    await wait_until(lambda: len(served.app.state.responses_in_progress) == 0)


async def test_commands_are_refused_by_an_answer(client: httpx.AsyncClient, thread: str) -> None:
    async def code(method: str, **params: Any) -> str:
        return str((await command(client, thread, method, **params))["error"])

    assert await code("no.such") == "unknown_command"
    assert await code("run.start", assistant_id="nobody") == "invalid_argument"
    assert await code("run.start") == "invalid_argument"
    assert await code("input.respond", interrupt_id="0" * 32, response=1) == "no_such_run"
    assert await code("agent.getTree") == "no_such_run"
    await start(client, thread, "steps", input={"until": 1})
    await told(client, thread, completed)
    assert await code("input.respond", interrupt_id="0" * 32, response=1) == "no_such_interrupt"
    config = {"configurable": {"checkpoint_id": "not one"}}
    assert await code("run.start", assistant_id="steps", config=config) == "invalid_argument"
    tree = await command(client, thread, "agent.getTree")
    assert tree["result"] == {"tree": {"namespace": [], "status": "completed", "graph_name": "steps"}}
    assert await code("agent.getTree", run_id="one") == "invalid_argument"
    assert await code("agent.getTree", run_id=str(uuid4())) == "no_such_run"


@pytest.mark.parametrize("body", [b"", b"[]", b'{"method": "run.start"}', b'{"id": "1", "method": "run.start"}'])
async def test_what_is_no_command_is_a_bad_request(client: httpx.AsyncClient, thread: str, body: bytes) -> None:
    json_type = {"content-type": "application/json"}
    answer = await client.post(f"/threads/{thread}/commands", content=body, headers=json_type)
    assert answer.status_code == 400
    assert answer.json()["id"] is None


async def test_an_input_to_a_thread_that_asks_is_the_answer(client: httpx.AsyncClient, thread: str) -> None:
    await start(client, thread, "team", input=HUMAN)
    await told(client, thread, lambda event: root(event, "interrupted"))
    # the interrupt's run is over when its `interrupted` is told
    await start(client, thread, "team", input="yes")
    heard = await told(client, thread, completed)
    assert named(heard, "values")[-1]["messages"][-1]["content"] == "approved: yes"


async def test_a_server_that_stops_breaks_off(settings: Settings, graphs: Registry, thread: str) -> None:
    """A stream that ended well would tell clients that the run is lost."""
    async with AsyncExitStack() as running:
        served = await running.enter_async_context(serving(settings, graphs))
        socket_url = f"{served.url.replace('http', 'ws', 1)}/threads/{thread}/stream/events"
        async with (
            httpx.AsyncClient(base_url=served.url) as client,
            listening(client, thread) as events,
            connect(socket_url) as socket,
        ):
            stopping = asyncio.create_task(running.aclose())
            with pytest.raises(httpx.RemoteProtocolError):
                await until(events, completed)
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(socket.recv(), DEADLINE_S)
            await stopping
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012


async def test_an_answer_that_is_refused_says_what_still_waits(
    client: httpx.AsyncClient, sdk: LangGraphClient, thread: str
) -> None:
    await start(client, thread, "team", input=HUMAN)
    heard = await told(client, thread, lambda event: root(event, "interrupted"))
    (asked,) = named(heard, "input.requested")
    stranger = "f" * 32
    command: Any = {"resume": {stranger: "?"}}
    await client.post(
        f"/threads/{thread}/runs", json={"assistant_id": "team", "command": command, "strict_resume": True}
    )
    end = (await told(client, thread, lambda event: root(event, "failed")))[-1]["params"]["data"]
    assert (end["reason"], end["interrupt_ids"]) == ("not_pending", [stranger])
    assert end["pending_ids"] == [asked["interrupt_id"]]
    assert stranger in end["error"]


async def test_channels_of_a_graphs_transformers_have_their_name(client: httpx.AsyncClient, thread: str) -> None:
    await start(client, thread, "shown", input={"until": 2})
    heard = await told(client, thread, completed, channels=["custom:progress", "lifecycle"])
    assert named(heard, "custom") == [{"name": "progress", "payload": {"done": at}} for at in (1, 2)]
    assert len(named(await told(client, thread, completed, channels=["custom", "lifecycle"]), "custom")) == 4
