"""Where servers of this protocol go wrong, one test each. The first line of each says what clients count on. Two need a
project of their own: 15 is in `tests/auth/test_trap_15.py`, 19 in `tests/events/test_trap_19.py`."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any
from uuid import UUID, uuid4, uuid5

import httpx
import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError

from tests.compat.conftest import Client, Eventually, held, new_thread

pytestmark = pytest.mark.usefixtures("worker")


async def raw(client: httpx.AsyncClient, method: str, place: str, **asked: Any) -> tuple[httpx.Response, bytes]:
    """The whole of a stream as bytes."""
    async with client.stream(method, place, **asked) as answer:
        return answer, await answer.aread()


def names_in(text: bytes) -> list[str]:
    return [line.removeprefix(b"event: ").decode() for line in text.splitlines() if line.startswith(b"event: ")]


def ids_in(text: bytes) -> list[str]:
    return [line.removeprefix(b"id: ").decode() for line in text.splitlines() if line.startswith(b"id: ")]


async def test_01_the_status_is_stored_before_the_stream_ends(sdk: Client) -> None:
    """A client looks at the run the moment it sees `end`, or that the stream closes."""
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
        other = await new_thread(sdk)
        async for part in sdk.runs.stream(other, graph, input={"value": 1}, params={"end": "true"}):
            if part.event == "end":
                assert part.data["status"] == status
                assert (await sdk.runs.get(other, part.data["run_id"]))["status"] == status


async def test_02_an_interrupted_run_is_over_and_resuming_makes_another(sdk: Client) -> None:
    """The run is terminal, the thread is interrupted, the answer is a new run."""
    thread = await new_thread(sdk)
    await sdk.runs.wait(thread, "ask", input={"value": 1})
    (first,) = await sdk.runs.list(thread)
    assert first["status"] == "success"
    assert (await sdk.threads.get(thread))["status"] == "interrupted"
    await sdk.runs.wait(thread, "ask", command={"resume": 1})
    second, still = await sdk.runs.list(thread)
    assert second["run_id"] != first["run_id"] == still["run_id"]
    assert still["status"] == "success"
    assert (await sdk.threads.get(thread))["status"] == "idle"


async def test_03_locations_have_exact_shapes_and_browsers_see_them(sdk: Client, client: httpx.AsyncClient) -> None:
    """Root-relative; nothing after the run's id in Content-Location; exposed by CORS."""
    thread = await new_thread(sdk)
    body, headers = {"assistant_id": "steps", "input": {"value": 1}}, {"origin": "http://localhost:3000"}
    for place, follow in (("runs", None), ("runs/stream", "stream"), ("runs/wait", "join")):
        answer, _ = await raw(client, "POST", f"/threads/{thread}/{place}", json=body, headers=headers)
        content = answer.headers["content-location"]
        lead, run_id = content.rsplit("/", 1)
        assert lead == f"/threads/{thread}/runs"
        assert str(UUID(run_id)) == run_id
        assert answer.headers.get("location") == (f"{content}/{follow}" if follow else None)
        exposed = answer.headers["access-control-expose-headers"].replace(" ", "").split(",")
        assert {"content-location", "location", "x-pagination-total", "x-pagination-next"} <= set(exposed)
    answer, _ = await raw(client, "POST", "/runs/stream", json=body)
    assert answer.headers["location"] == f"{answer.headers['content-location']}/stream"
    assert answer.headers["content-location"].startswith("/runs/")


async def test_04_no_answer_is_200_and_empty(sdk: Client, client: httpx.AsyncClient, eventually: Eventually) -> None:
    """JavaScript parses every body but those of 202 and 204, and looks into what wait gives."""
    thread = await new_thread(sdk)
    run = (await sdk.runs.create(thread, "hold", input={}))["run_id"]
    await eventually(lambda: held(sdk, thread))
    cancelled = await client.post(f"/threads/{thread}/runs/{run}/cancel")
    assert (cancelled.status_code, cancelled.content) == (202, b"")
    joined = await client.get(f"/threads/{thread}/runs/{run}/join")
    assert isinstance(joined.json(), dict)
    other = (await sdk.runs.create(thread, "hold", input={}))["run_id"]
    waited = await client.post(f"/threads/{thread}/runs/{other}/cancel?wait=1")
    assert isinstance(waited.json(), dict)
    for place in (f"/threads/{thread}/runs/{run}", f"/threads/{thread}"):
        gone = await client.delete(place)
        assert (gone.status_code, gone.content) == (204, b"")
    missing = await client.get("/store/items", params={"namespace": "a.b", "key": "k"})
    assert (missing.status_code, missing.content) == (200, b"null")


async def test_05_a_steady_beat_while_a_run_is_queued(sdk: Client, client: httpx.AsyncClient) -> None:
    """Comments without a blank line after them on streams, newlines inside wait."""
    thread = await new_thread(sdk)
    await sdk.runs.create(thread, "hold", input={})
    body = {"assistant_id": "steps", "input": {"value": 1}}
    async with client.stream("POST", f"/threads/{thread}/runs/stream", json=body) as answer:
        text = b""
        async for chunk in answer.aiter_bytes():
            text += chunk
            if text.count(b": heartbeat") == 3:
                break
    assert text.startswith(b"retry: ")
    assert b"event: metadata" in text
    assert b": heartbeat\r\n\r\n" not in text
    async with client.stream("POST", f"/threads/{thread}/runs/wait", json=body) as answer:
        assert answer.status_code == 200
        assert await anext(answer.aiter_bytes()) == b"\n"


async def test_06_where_a_reader_goes_on(sdk: Client, client: httpx.AsyncClient) -> None:
    """-1, 0 and - are the start, none is live only, and a finished run still replays."""
    thread = await new_thread(sdk)
    run = (await sdk.runs.create(thread, "steps", input={"value": 1}))["run_id"]
    await sdk.runs.join(thread, run)
    place = f"/threads/{thread}/runs/{run}/stream"
    replays = [(await raw(client, "GET", place, headers={"last-event-id": word}))[1] for word in ("-1", "0", "-")]
    assert replays[0] == replays[1] == replays[2]
    assert (names_in(replays[0])[0], names_in(replays[0])[-1]) == ("metadata", "values")
    ids = ids_in(replays[0])
    _, rest = await raw(client, "GET", place, headers={"last-event-id": ids[2]})
    assert ids_in(rest) == ids[3:]
    answer, live = await raw(client, "GET", place)
    assert (answer.status_code, names_in(live)) == (200, [])


async def test_07_interrupts_are_lists_everywhere(sdk: Client) -> None:
    """Also a breakpoint, which is an empty one; several at once are one list in wait."""
    thread = await new_thread(sdk)
    asked = await sdk.runs.wait(thread, "two_questions", input={})
    assert sorted(one["value"] for one in asked["__interrupt__"]) == ["first?", "second?"]
    found = await sdk.threads.get(thread)
    assert all(isinstance(each, list) for each in found["interrupts"].values())
    streamed = [
        one
        async for part in sdk.runs.stream(await new_thread(sdk), "two_questions", input={}, stream_mode="updates")
        if part.event == "updates"
        for one in part.data["__interrupt__"]
    ]
    assert sorted(one["value"] for one in streamed) == ["first?", "second?"]
    assert all("response_schema" in one for one in streamed)
    answers = {one["id"]: f"answer to {one['value']}" for one in asked["__interrupt__"]}
    answered = await sdk.runs.wait(thread, "two_questions", command={"resume": answers})
    assert sorted(answered["log"]) == ["answer to first?", "answer to second?"]
    stopped = sdk.runs.stream(
        await new_thread(sdk), "steps", input={"value": 1}, stream_mode=["updates", "values"], interrupt_before=["two"]
    )
    parts = [part async for part in stopped]
    assert [
        part.data["__interrupt__"] for part in parts if part.event == "updates" and "__interrupt__" in part.data
    ] == [[]]
    assert not [part for part in parts if part.event == "values" and "__interrupt__" in part.data]


async def test_08_failures_are_200_and_cancels_no_error(
    sdk: Client, client: httpx.AsyncClient, eventually: Eventually
) -> None:
    """A failed wait carries `__error__`; a cancelled stream just ends."""
    thread = await new_thread(sdk)
    body = {"assistant_id": "fail", "input": {"value": 1}}
    answer = await client.post(f"/threads/{thread}/runs/wait", json=body)
    assert (answer.status_code, set(answer.json()["__error__"])) == (200, {"error", "message"})
    stream = asyncio.create_task(
        raw(client, "POST", f"/threads/{thread}/runs/stream", json={"assistant_id": "hold", "input": {}})
    )
    await eventually(lambda: held(sdk, thread))
    run = (await sdk.runs.list(thread))[0]["run_id"]
    await sdk.runs.cancel(thread, run, wait=True)
    _, text = await stream
    assert set(names_in(text)) == {"metadata", "values"}


async def test_09_a_run_writes_its_graph_into_the_thread(sdk: Client) -> None:
    """State and history need it, side bars filter by it, and titles come from `values`."""
    thread = await new_thread(sdk)
    assistant = await sdk.assistants.get("steps")
    await sdk.runs.create(thread, "steps", input={"value": 1}, after_seconds=600)
    metadata = (await sdk.threads.get(thread))["metadata"]
    assert metadata == {"graph_id": "steps", "assistant_id": assistant["assistant_id"]}
    other = await new_thread(sdk)
    await sdk.runs.wait(other, "steps", input={"value": 1})
    for wanted in ({"graph_id": "steps"}, {"assistant_id": assistant["assistant_id"]}):
        found = {one["thread_id"]: one["values"] for one in await sdk.threads.search(metadata=wanted)}
        assert found[other]["value"] == 4
        assert thread in found


async def test_10_context_and_configurable_mirror_each_other(sdk: Client, client: httpx.AsyncClient) -> None:
    """Both given is 400; context is cut to its schema."""
    thread, mine = await new_thread(sdk), {"tone": "dry", "colour": "red"}
    by_context = await sdk.runs.wait(thread, "told", input={}, context=mine)
    by_config = await sdk.runs.wait(thread, "told", input={}, config={"configurable": mine})
    for values in (by_context, by_config):
        assert values["context"] == {"tone": "dry"}
        assert values["settings"]["colour"] == "red"
    nothing_left = await sdk.runs.wait(await new_thread(sdk), "told", input={}, context={"colour": "red"})
    assert nothing_left.get("context") is None
    body = {"assistant_id": "told", "context": mine, "config": {"configurable": mine}}
    assert (await client.post(f"/threads/{thread}/runs", json=body)).status_code == 400


async def test_11_lists_in_queries_come_in_three_ways(sdk: Client, client: httpx.AsyncClient) -> None:
    """And `before` of a history in three forms, too."""
    thread = await new_thread(sdk)
    run = await sdk.runs.create(thread, "steps", input={"value": 1}, stream_mode=["values", "updates", "custom"])
    await sdk.runs.join(thread, run["run_id"])
    for query in (
        "stream_mode=updates&stream_mode=custom",
        'stream_mode=["updates","custom"]',
        "stream_mode=updates,custom",
    ):
        place = f"/threads/{thread}/runs/{run['run_id']}/stream?{query}"
        _, text = await raw(client, "GET", place, headers={"last-event-id": "-1"})
        assert set(names_in(text)) == {"updates", "custom"}, query
        answer = await client.get(f"/threads/{thread}/runs?{query.replace('stream_mode', 'select')}")
        assert answer.status_code == 422
    for query in ("select=run_id&select=status", 'select=["run_id","status"]', "select=run_id,status"):
        assert set((await client.get(f"/threads/{thread}/runs?{query}")).json()[0]) == {"run_id", "status"}
    for name in ("stream_mode", "stream_modes"):
        async with client.stream("GET", f"/threads/{thread}/stream?{name}=lifecycle,state_update") as answer:
            assert answer.status_code == 200
    history = await sdk.threads.get_history(thread, limit=50)
    newest = history[0]
    for before in (newest["checkpoint_id"], newest["checkpoint"], {"configurable": newest["checkpoint"]}):
        answer = await client.post(f"/threads/{thread}/history", json={"limit": 50, "before": before})
        assert answer.json() == history[1:]


async def test_12_the_state_of_a_thread_without_runs(sdk: Client, client: httpx.AsyncClient) -> None:
    """200 with `checkpoint: null`; `checkpoint_map` is never null."""
    thread = await new_thread(sdk)
    empty = (await client.get(f"/threads/{thread}/state")).json()
    assert (empty["checkpoint"], empty["values"], empty["next"], empty["tasks"]) == (None, {}, [], [])
    await sdk.runs.wait(thread, "nested", input={"value": 1})
    text = (await client.get(f"/threads/{thread}/state?subgraphs=true")).text
    assert '"checkpoint_map":null' not in text
    sent = {"checkpoint_id": None, "checkpoint_ns": "", "checkpoint_map": None, "thread_id": thread}
    answer = await client.post(f"/threads/{thread}/state/checkpoint", json={"checkpoint": sent})
    assert answer.json()["checkpoint"]["thread_id"] == thread
    assert "checkpoint_map" not in answer.json()["checkpoint"]


async def test_13_defaults(sdk: Client, client: httpx.AsyncClient) -> None:
    """No small recursion limit, and a client that leaves cancels nothing."""
    thread = await new_thread(sdk)
    values = await sdk.runs.wait(thread, "turns", input={"turns": 60})
    assert values["turn"] == 60
    async with client.stream(
        "POST", f"/threads/{thread}/runs/stream", json={"assistant_id": "steps", "input": {"value": 1}}
    ) as answer:
        run = answer.headers["content-location"].rsplit("/", 1)[1]
    await sdk.runs.join(thread, run)
    assert (await sdk.runs.get(thread, run))["status"] == "success"


async def test_14_one_run_at_a_time(sdk: Client, eventually: Eventually) -> None:
    """Rollback takes checkpoints with it, reject makes nothing, the queue is by `created_at`, delayed runs included."""
    thread = await new_thread(sdk)
    await sdk.runs.wait(thread, "steps", input={"value": 1})
    before = await sdk.threads.get_history(thread, limit=50)
    first = await sdk.runs.create(thread, "hold", input={"value": 50})
    await eventually(lambda: held(sdk, thread))
    with pytest.raises(ConflictError):
        await sdk.runs.create(thread, "steps", input={}, multitask_strategy="reject")
    assert len(await sdk.runs.list(thread)) == 2
    last = await sdk.runs.create(thread, "steps", input={"value": 5}, multitask_strategy="rollback")
    await sdk.runs.join(thread, last["run_id"])
    with pytest.raises(NotFoundError):
        await sdk.runs.get(thread, first["run_id"])
    history = await sdk.threads.get_history(thread, limit=50)
    assert [past["checkpoint_id"] for past in history[-len(before) :]] == [past["checkpoint_id"] for past in before]
    assert {past["metadata"]["run_id"] for past in history[: -len(before)]} == {last["run_id"]}
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


async def test_16_messages_by_two_names(sdk: Client) -> None:
    """`messages-tuple` arrives as `messages`; `messages` as the text so far; the tuple wins when both are asked."""
    given = {"messages": [{"role": "user", "content": "hi"}]}

    async def streamed(modes: Any) -> list[Any]:
        thread = await new_thread(sdk)
        return [part async for part in sdk.runs.stream(thread, "talk", input=given, stream_mode=modes)]

    tuples = [part for part in await streamed("messages-tuple") if part.event.startswith("messages")]
    assert {part.event for part in tuples} == {"messages"}
    assert "".join(part.data[0]["content"] for part in tuples) == "hello to you"
    assert tuples[0].data[1]["langgraph_node"] == "talk"
    whole = await streamed("messages")
    assert "messages/metadata" in {part.event for part in whole}
    texts = [part.data[0]["content"] for part in whole if part.event == "messages/partial"]
    assert texts[-1] == "hello to you"
    assert all(later.startswith(sooner) for sooner, later in itertools.pairwise(texts))
    both = await streamed(["messages", "messages-tuple"])
    assert {part.event for part in both} == {"metadata", "messages"}


async def test_17_names_work_where_ids_do(sdk: Client, client: httpx.AsyncClient) -> None:
    """System assistants have ids that clients compute."""
    ident = str(uuid5(UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8"), "steps"))
    for path in ("", "/graph", "/schemas", "/subgraphs"):
        by_name, by_id = [await client.get(f"/assistants/{one}{path}") for one in ("steps", ident)]
        assert by_name.status_code == by_id.status_code == 200
        assert by_name.json() == by_id.json()
    for one in ("steps", ident):
        assert (await sdk.runs.wait(None, one, input={"value": 1}))["value"] == 4
        assert (await client.post(f"/assistants/{one}/versions", json={})).json()[0]["assistant_id"] == ident


async def test_18_details_are_text_and_come_before_the_stream(sdk: Client, client: httpx.AsyncClient) -> None:
    """The SDKs show the first string they find, and only plain JSON tells them the status."""
    thread, ghost = await new_thread(sdk), uuid4()
    for place, body, status in (
        (f"/threads/{thread}/runs/stream", {"assistant_id": "steps", "stream_mode": "everything"}, 422),
        (f"/threads/{thread}/runs/stream", {"assistant_id": "nobody"}, 422),
        (f"/threads/{ghost}/runs/stream", {"assistant_id": "steps"}, 404),
        (f"/threads/{thread}/runs/stream", {}, 422),
        ("/runs/stream", {"assistant_id": "steps", "command": {"resume": 1}}, 400),
        ("/threads/x/runs/stream", {"assistant_id": "steps"}, 422),
        ("/nowhere", {}, 404),
    ):
        answer = await client.post(place, json=body)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
        assert isinstance(answer.json()["detail"], str)
    answer = await client.post(f"/threads/{thread}/runs", content=b"")
    assert (answer.status_code, isinstance(answer.json()["detail"], str)) == (422, True)


async def test_20_a_run_whose_thread_is_gone_is_404(sdk: Client, client: httpx.AsyncClient) -> None:
    """Clients take that for its end."""
    body = {"assistant_id": "steps", "input": {"value": 1}}
    answer, text = await raw(client, "POST", "/runs/stream", json=body)
    assert names_in(text)[-1] == "values"
    run = answer.headers["content-location"].rsplit("/", 1)[1]
    threads = await sdk.threads.search()
    assert threads == []
    for place in (f"/threads/{uuid4()}/runs/{run}", f"/runs/{run}/stream"):
        assert (await client.get(place)).status_code == 404
