"""Details of the protocol that clients depend on and servers often get wrong, one test for each.

Two details need another project: `tests/auth/test_handler_selection.py` and `tests/events/test_equal_connections.py`.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Any
from uuid import UUID, uuid4, uuid5

import httpx
import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError

from tests.compat.conftest import Client, Eventually, hold_started, new_thread

pytestmark = pytest.mark.usefixtures("worker")


async def read_bytes(client: httpx.AsyncClient, method: str, path: str, **request: Any) -> tuple[httpx.Response, bytes]:
    """The complete response as bytes."""
    async with client.stream(method, path, **request) as response:
        return response, await response.aread()


def event_names_in(text: bytes) -> list[str]:
    return [line.removeprefix(b"event: ").decode() for line in text.splitlines() if line.startswith(b"event: ")]


def event_ids_in(text: bytes) -> list[str]:
    return [line.removeprefix(b"id: ").decode() for line in text.splitlines() if line.startswith(b"id: ")]


async def test_the_status_is_stored_before_the_stream_ends(sdk: Client) -> None:
    """Clients read the run as soon as they receive the end event, or when the stream closes."""
    for graph, status, thread_status in (
        ("steps", "success", "idle"),
        ("fail", "error", "error"),
        ("ask", "success", "interrupted"),
    ):
        thread = await new_thread(sdk)
        run_id = ""
        async for part in sdk.runs.stream(thread, graph, input={"value": 1}):
            run_id = run_id or part.data["run_id"]
        assert (await sdk.runs.get(thread, run_id))["status"] == status
        assert (await sdk.threads.get(thread))["status"] == thread_status
        second_thread = await new_thread(sdk)
        async for part in sdk.runs.stream(second_thread, graph, input={"value": 1}, params={"end": "true"}):
            if part.event == "end":
                assert part.data["status"] == status
                assert (await sdk.runs.get(second_thread, part.data["run_id"]))["status"] == status


async def test_an_interrupted_run_is_final_and_the_answer_creates_another(sdk: Client) -> None:
    """The status of the run is final, the thread is interrupted, and the response starts another run."""
    thread = await new_thread(sdk)
    await sdk.runs.wait(thread, "ask", input={"value": 1})
    (first,) = await sdk.runs.list(thread)
    assert first["status"] == "success"
    assert (await sdk.threads.get(thread))["status"] == "interrupted"
    await sdk.runs.wait(thread, "ask", command={"resume": 1})
    second, first_later = await sdk.runs.list(thread)
    assert second["run_id"] != first["run_id"] == first_later["run_id"]
    assert first_later["status"] == "success"
    assert (await sdk.threads.get(thread))["status"] == "idle"


async def test_location_headers_have_exact_forms_and_browsers_can_read_them(
    sdk: Client, client: httpx.AsyncClient
) -> None:
    """Paths without a host; Content-Location ends with the run id; CORS exposes both headers."""
    thread = await new_thread(sdk)
    body, headers = {"assistant_id": "steps", "input": {"value": 1}}, {"origin": "http://localhost:3000"}
    for endpoint, suffix in (("runs", None), ("runs/stream", "stream"), ("runs/wait", "join")):
        response, _ = await read_bytes(client, "POST", f"/threads/{thread}/{endpoint}", json=body, headers=headers)
        content = response.headers["content-location"]
        prefix, run_id = content.rsplit("/", 1)
        assert prefix == f"/threads/{thread}/runs"
        assert str(UUID(run_id)) == run_id
        assert response.headers.get("location") == (f"{content}/{suffix}" if suffix else None)
        exposed = response.headers["access-control-expose-headers"].replace(" ", "").split(",")
        assert {"content-location", "location", "x-pagination-total", "x-pagination-next"} <= set(exposed)
    response, _ = await read_bytes(client, "POST", "/runs/stream", json=body)
    assert response.headers["location"] == f"{response.headers['content-location']}/stream"
    assert response.headers["content-location"].startswith("/runs/")


async def test_no_response_with_status_200_is_empty(
    sdk: Client, client: httpx.AsyncClient, eventually: Eventually
) -> None:
    """The JavaScript client parses each body except those of 202 and 204, and reads members of waiting responses."""
    thread = await new_thread(sdk)
    run = (await sdk.runs.create(thread, "hold", input={}))["run_id"]
    await eventually(lambda: hold_started(sdk, thread))
    cancelled = await client.post(f"/threads/{thread}/runs/{run}/cancel")
    assert (cancelled.status_code, cancelled.content) == (202, b"")
    joined = await client.get(f"/threads/{thread}/runs/{run}/join")
    assert isinstance(joined.json(), dict)
    other = (await sdk.runs.create(thread, "hold", input={}))["run_id"]
    waited = await client.post(f"/threads/{thread}/runs/{other}/cancel?wait=1")
    assert isinstance(waited.json(), dict)
    for path in (f"/threads/{thread}/runs/{run}", f"/threads/{thread}"):
        deleted = await client.delete(path)
        assert (deleted.status_code, deleted.content) == (204, b"")
    missing = await client.get("/store/items", params={"namespace": "a.b", "key": "k"})
    assert (missing.status_code, missing.content) == (200, b"null")


async def test_pings_are_sent_while_a_run_is_queued(sdk: Client, client: httpx.AsyncClient) -> None:
    """Event streams send comments that no blank line follows; waiting responses send newlines."""
    thread = await new_thread(sdk)
    await sdk.runs.create(thread, "hold", input={})
    body = {"assistant_id": "steps", "input": {"value": 1}}
    async with client.stream("POST", f"/threads/{thread}/runs/stream", json=body) as response:
        text = b""
        async for chunk in response.aiter_bytes():
            text += chunk
            if text.count(b": heartbeat") == 3:
                break
    assert text.startswith(b"retry: ")
    assert b"event: metadata" in text
    assert b": heartbeat\r\n\r\n" not in text
    async with client.stream("POST", f"/threads/{thread}/runs/wait", json=body) as response:
        assert response.status_code == 200
        assert await anext(response.aiter_bytes()) == b"\n"


async def test_the_last_event_id_determines_where_a_stream_resumes(sdk: Client, client: httpx.AsyncClient) -> None:
    """`-1`, `0` and `-` replay all events, also of an ended run. Without an id, only new events are sent."""
    thread = await new_thread(sdk)
    run = (await sdk.runs.create(thread, "steps", input={"value": 1}))["run_id"]
    await sdk.runs.join(thread, run)
    path = f"/threads/{thread}/runs/{run}/stream"
    replays = [
        (await read_bytes(client, "GET", path, headers={"last-event-id": event_id}))[1] for event_id in ("-1", "0", "-")
    ]
    assert replays[0] == replays[1] == replays[2]
    assert (event_names_in(replays[0])[0], event_names_in(replays[0])[-1]) == ("metadata", "values")
    ids = event_ids_in(replays[0])
    _, remaining = await read_bytes(client, "GET", path, headers={"last-event-id": ids[2]})
    assert event_ids_in(remaining) == ids[3:]
    response, new_events = await read_bytes(client, "GET", path)
    assert (response.status_code, event_names_in(new_events)) == (200, [])


async def test_interrupts_are_lists_everywhere(sdk: Client) -> None:
    """A breakpoint has an empty list. A waiting response has all interrupts of a superstep in one list."""
    thread = await new_thread(sdk)
    interrupted = await sdk.runs.wait(thread, "two_interrupts", input={})
    assert sorted(interrupt["value"] for interrupt in interrupted["__interrupt__"]) == ["first?", "second?"]
    record = await sdk.threads.get(thread)
    assert all(isinstance(of_task, list) for of_task in record["interrupts"].values())
    streamed = [
        interrupt
        async for part in sdk.runs.stream(await new_thread(sdk), "two_interrupts", input={}, stream_mode="updates")
        if part.event == "updates"
        for interrupt in part.data["__interrupt__"]
    ]
    assert sorted(interrupt["value"] for interrupt in streamed) == ["first?", "second?"]
    assert all("response_schema" in interrupt for interrupt in streamed)
    answers = {interrupt["id"]: f"answer to {interrupt['value']}" for interrupt in interrupted["__interrupt__"]}
    answered = await sdk.runs.wait(thread, "two_interrupts", command={"resume": answers})
    assert sorted(answered["log"]) == ["answer to first?", "answer to second?"]
    stopped = sdk.runs.stream(
        await new_thread(sdk), "steps", input={"value": 1}, stream_mode=["updates", "values"], interrupt_before=["two"]
    )
    parts = [part async for part in stopped]
    assert [
        part.data["__interrupt__"] for part in parts if part.event == "updates" and "__interrupt__" in part.data
    ] == [[]]
    assert not [part for part in parts if part.event == "values" and "__interrupt__" in part.data]


async def test_a_failed_run_has_status_200_and_a_cancelled_one_no_error(
    sdk: Client, client: httpx.AsyncClient, eventually: Eventually
) -> None:
    """The waiting response of a failed run has `__error__`. The stream of a cancelled run has no error event."""
    thread = await new_thread(sdk)
    body = {"assistant_id": "fail", "input": {"value": 1}}
    response = await client.post(f"/threads/{thread}/runs/wait", json=body)
    assert (response.status_code, set(response.json()["__error__"])) == (200, {"error", "message"})
    stream = asyncio.create_task(
        read_bytes(client, "POST", f"/threads/{thread}/runs/stream", json={"assistant_id": "hold", "input": {}})
    )
    await eventually(lambda: hold_started(sdk, thread))
    run = (await sdk.runs.list(thread))[0]["run_id"]
    await sdk.runs.cancel(thread, run, wait=True)
    _, text = await stream
    assert set(event_names_in(text)) == {"metadata", "values"}


async def test_a_run_stores_its_graph_in_the_thread(sdk: Client) -> None:
    """Clients search threads by graph and show their `values`; the server reads states with the graph."""
    thread = await new_thread(sdk)
    assistant = await sdk.assistants.get("steps")
    await sdk.runs.create(thread, "steps", input={"value": 1}, after_seconds=600)
    metadata = (await sdk.threads.get(thread))["metadata"]
    assert metadata == {"graph_id": "steps", "assistant_id": assistant["assistant_id"]}
    other = await new_thread(sdk)
    await sdk.runs.wait(other, "steps", input={"value": 1})
    for metadata in ({"graph_id": "steps"}, {"assistant_id": assistant["assistant_id"]}):
        values_by_thread = {
            found["thread_id"]: found["values"] for found in await sdk.threads.search(metadata=metadata)
        }
        assert values_by_thread[other]["value"] == 4
        assert thread in values_by_thread


async def test_context_and_configurable_mirror_each_other(sdk: Client, client: httpx.AsyncClient) -> None:
    """A request with both is rejected with 400. A context without members of the schema is `None`."""
    thread, context = await new_thread(sdk), {"tone": "dry", "colour": "red"}
    by_context = await sdk.runs.wait(thread, "received_config", input={}, context=context)
    by_config = await sdk.runs.wait(thread, "received_config", input={}, config={"configurable": context})
    for values in (by_context, by_config):
        assert values["context"] == {"tone": "dry"}
        assert values["configured"]["colour"] == "red"
    unknown_member = await sdk.runs.wait(await new_thread(sdk), "received_config", input={}, context={"colour": "red"})
    assert unknown_member.get("context") is None
    body = {"assistant_id": "received_config", "context": context, "config": {"configurable": context}}
    assert (await client.post(f"/threads/{thread}/runs", json=body)).status_code == 400


async def test_lists_in_queries_have_three_forms(sdk: Client, client: httpx.AsyncClient) -> None:
    """Repeated, as JSON, or separated by commas. `before` of a history has three forms as well."""
    thread = await new_thread(sdk)
    run = await sdk.runs.create(thread, "steps", input={"value": 1}, stream_mode=["values", "updates", "custom"])
    await sdk.runs.join(thread, run["run_id"])
    for query in (
        "stream_mode=updates&stream_mode=custom",
        'stream_mode=["updates","custom"]',
        "stream_mode=updates,custom",
    ):
        path = f"/threads/{thread}/runs/{run['run_id']}/stream?{query}"
        _, text = await read_bytes(client, "GET", path, headers={"last-event-id": "-1"})
        assert set(event_names_in(text)) == {"updates", "custom"}, query
        response = await client.get(f"/threads/{thread}/runs?{query.replace('stream_mode', 'select')}")
        assert response.status_code == 422
    for query in ("select=run_id&select=status", 'select=["run_id","status"]', "select=run_id,status"):
        assert set((await client.get(f"/threads/{thread}/runs?{query}")).json()[0]) == {"run_id", "status"}
    for name in ("stream_mode", "stream_modes"):
        async with client.stream("GET", f"/threads/{thread}/stream?{name}=lifecycle,state_update") as response:
            assert response.status_code == 200
    history = await sdk.threads.get_history(thread, limit=50)
    newest = history[0]
    for before in (newest["checkpoint_id"], newest["checkpoint"], {"configurable": newest["checkpoint"]}):
        response = await client.post(f"/threads/{thread}/history", json={"limit": 50, "before": before})
        assert response.json() == history[1:]


async def test_a_thread_without_runs_has_an_empty_state(sdk: Client, client: httpx.AsyncClient) -> None:
    """The state of a thread without runs has `checkpoint: null`, status 200. `checkpoint_map` is never null."""
    thread = await new_thread(sdk)
    empty = (await client.get(f"/threads/{thread}/state")).json()
    assert (empty["checkpoint"], empty["values"], empty["next"], empty["tasks"]) == (None, {}, [], [])
    await sdk.runs.wait(thread, "nested", input={"value": 1})
    text = (await client.get(f"/threads/{thread}/state?subgraphs=true")).text
    assert '"checkpoint_map":null' not in text
    checkpoint = {"checkpoint_id": None, "checkpoint_ns": "", "checkpoint_map": None, "thread_id": thread}
    response = await client.post(f"/threads/{thread}/state/checkpoint", json={"checkpoint": checkpoint})
    assert response.json()["checkpoint"]["thread_id"] == thread
    assert "checkpoint_map" not in response.json()["checkpoint"]


async def test_a_run_without_options_has_safe_defaults(sdk: Client, client: httpx.AsyncClient) -> None:
    """The recursion limit allows 60 supersteps, and a client that disconnects does not cancel the run."""
    thread = await new_thread(sdk)
    values = await sdk.runs.wait(thread, "rounds", input={"rounds": 60})
    assert values["done"] == 60
    async with client.stream(
        "POST", f"/threads/{thread}/runs/stream", json={"assistant_id": "steps", "input": {"value": 1}}
    ) as response:
        run = response.headers["content-location"].rsplit("/", 1)[1]
    await sdk.runs.join(thread, run)
    assert (await sdk.runs.get(thread, run))["status"] == "success"


async def test_a_thread_executes_one_run_at_a_time(sdk: Client, eventually: Eventually) -> None:
    """`rollback` deletes the checkpoints of the run, `reject` creates no run, and queued runs start in the order of
    `created_at`, which for a delayed run is its due time."""
    thread = await new_thread(sdk)
    await sdk.runs.wait(thread, "steps", input={"value": 1})
    before = await sdk.threads.get_history(thread, limit=50)
    first = await sdk.runs.create(thread, "hold", input={"value": 50})
    await eventually(lambda: hold_started(sdk, thread))
    with pytest.raises(ConflictError):
        await sdk.runs.create(thread, "steps", input={}, multitask_strategy="reject")
    assert len(await sdk.runs.list(thread)) == 2
    last = await sdk.runs.create(thread, "steps", input={"value": 5}, multitask_strategy="rollback")
    await sdk.runs.join(thread, last["run_id"])
    with pytest.raises(NotFoundError):
        await sdk.runs.get(thread, first["run_id"])
    history = await sdk.threads.get_history(thread, limit=50)
    assert [state["checkpoint_id"] for state in history[-len(before) :]] == [state["checkpoint_id"] for state in before]
    assert {state["metadata"]["run_id"] for state in history[: -len(before)]} == {last["run_id"]}
    other = await new_thread(sdk)
    delayed = await sdk.runs.create(other, "steps", input={"value": 1}, after_seconds=3)
    sooner = await sdk.runs.create(other, "steps", input={"value": 1})
    assert delayed["created_at"] > sooner["created_at"]
    await sdk.runs.join(other, delayed["run_id"])
    ended = [await sdk.runs.get(other, run["run_id"]) for run in (sooner, delayed)]
    assert ended[0]["updated_at"] < ended[1]["updated_at"]
    pending = await sdk.runs.create(other, "steps", input={"value": 1}, after_seconds=600)
    await sdk.runs.cancel(other, pending["run_id"])
    assert (await sdk.runs.get(other, pending["run_id"]))["status"] == "interrupted"


async def test_the_two_modes_of_messages_have_their_own_events(sdk: Client) -> None:
    """The mode `messages-tuple` sends `messages` events. The mode `messages` sends the text so far. With both modes,
    only the events of `messages-tuple` are sent."""
    chat_input = {"messages": [{"role": "user", "content": "hi"}]}

    async def streamed(modes: Any) -> list[Any]:
        thread = await new_thread(sdk)
        return [part async for part in sdk.runs.stream(thread, "talk", input=chat_input, stream_mode=modes)]

    tuples = [part for part in await streamed("messages-tuple") if part.event.startswith("messages")]
    assert {part.event for part in tuples} == {"messages"}
    assert "".join(part.data[0]["content"] for part in tuples) == "hello to you"
    assert tuples[0].data[1]["langgraph_node"] == "talk"
    accumulated = await streamed("messages")
    assert "messages/metadata" in {part.event for part in accumulated}
    texts = [part.data[0]["content"] for part in accumulated if part.event == "messages/partial"]
    assert texts[-1] == "hello to you"
    assert all(later.startswith(sooner) for sooner, later in itertools.pairwise(texts))
    both = await streamed(["messages", "messages-tuple"])
    assert {part.event for part in both} == {"metadata", "messages"}


async def test_graph_ids_work_in_place_of_assistant_ids(sdk: Client, client: httpx.AsyncClient) -> None:
    """Clients compute the ids of system assistants."""
    computed_id = str(uuid5(UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8"), "steps"))
    for path in ("", "/graph", "/schemas", "/subgraphs"):
        by_name, by_id = [await client.get(f"/assistants/{assistant}{path}") for assistant in ("steps", computed_id)]
        assert by_name.status_code == by_id.status_code == 200
        assert by_name.json() == by_id.json()
    for assistant in ("steps", computed_id):
        assert (await sdk.runs.wait(None, assistant, input={"value": 1}))["value"] == 4
        assert (await client.post(f"/assistants/{assistant}/versions", json={})).json()[0][
            "assistant_id"
        ] == computed_id


async def test_errors_are_json_with_a_text_and_precede_the_stream(sdk: Client, client: httpx.AsyncClient) -> None:
    """The SDKs show the first text of the body, and read the status only from a response that is not a stream."""
    thread, unknown = await new_thread(sdk), uuid4()
    for path, body, status in (
        (f"/threads/{thread}/runs/stream", {"assistant_id": "steps", "stream_mode": "everything"}, 422),
        (f"/threads/{thread}/runs/stream", {"assistant_id": "unknown"}, 422),
        (f"/threads/{unknown}/runs/stream", {"assistant_id": "steps"}, 404),
        (f"/threads/{thread}/runs/stream", {}, 422),
        ("/runs/stream", {"assistant_id": "steps", "command": {"resume": 1}}, 400),
        ("/threads/x/runs/stream", {"assistant_id": "steps"}, 422),
        ("/nowhere", {}, 404),
    ):
        response = await client.post(path, json=body)
        assert (response.status_code, response.headers["content-type"]) == (status, "application/json")
        assert isinstance(response.json()["detail"], str)
    response = await client.post(f"/threads/{thread}/runs", content=b"")
    assert (response.status_code, isinstance(response.json()["detail"], str)) == (422, True)


async def test_a_run_of_a_deleted_thread_is_404(sdk: Client, client: httpx.AsyncClient) -> None:
    """Clients take the 404 for the end of the run."""
    body = {"assistant_id": "steps", "input": {"value": 1}}
    response, text = await read_bytes(client, "POST", "/runs/stream", json=body)
    assert event_names_in(text)[-1] == "values"
    run = response.headers["content-location"].rsplit("/", 1)[1]
    threads = await sdk.threads.search()
    assert threads == []
    for path in (f"/threads/{uuid4()}/runs/{run}", f"/runs/{run}/stream"):
        assert (await client.get(path)).status_code == 404
