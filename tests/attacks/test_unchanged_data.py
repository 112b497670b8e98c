"""Data of clients stays data: JSON that looks like serialised objects, patterns in names, and names that LangGraph
reserves are returned as they were sent. Nothing is built from them, and the worker keeps running."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.attacks.hostile_values import SERIALISED, TEXTS
from tests.attacks.rows import create_one_of_each
from tests.auth.conftest import Client
from tests.http.conftest import Served

DEADLINE_S = 30
HOSTILE: list[Any] = [*SERIALISED, *(text for text in TEXTS if "\0" not in text)]
"""Texts with NUL are left out, because JSON is stored without NUL."""
OBJECT = {f"k{number}": value for number, value in enumerate(HOSTILE)} | {
    word: 1 for word in TEXTS if word and "\0" not in word and len(word) < 50
}
RESERVED = (
    *("__pregel_send", "__pregel_read", "__pregel_call", "__pregel_checkpointer", "__pregel_stream", "__pregel_cache"),
    *("__pregel_resuming", "__pregel_task_id", "__pregel_dedupe_tasks", "__pregel_replay_state", "__pregel_scratchpad"),
    *("__pregel_runner_submit", "__pregel_durability", "__pregel_runtime", "__pregel_resume_map", "__pregel_store"),
    *("__pregel_checkpoint_ns", "checkpoint_map", "checkpoint_ns", "checkpoint_id", "thread_id", "user_id"),
    *("langgraph_auth_user", "langgraph_auth_user_id", "langgraph_auth_permissions", "langgraph_request_id"),
)
"""Names in `configurable` with which LangGraph and Slipway pass objects and settings to a graph."""


@pytest.mark.usefixtures("worker")
async def test_the_input_of_a_run_is_returned_unchanged(ann: Client) -> None:
    for value in (HOSTILE, OBJECT, *SERIALISED):
        async with asyncio.timeout(DEADLINE_S):
            thread = (await ann.threads.create())["thread_id"]
            assert (await ann.runs.wait(thread, "greet", input={"text": value}))["text"] == value
            assert (await ann.threads.get_state(thread))["values"]["text"] == value
            assert (await ann.threads.get_history(thread))[0]["values"]["text"] == value
            assert (await ann.threads.get(thread))["values"]["text"] == value
            await ann.threads.update_state(thread, {"text": [value]}, as_node="say")
            assert (await ann.threads.get_state(thread))["values"]["text"] == [value]
            found = await ann.threads.search(values={"text": [value]})
            assert [one["thread_id"] for one in found] == [thread]


@pytest.mark.usefixtures("worker")
async def test_an_answer_to_an_interrupt_reaches_the_node_unchanged(ann: Client) -> None:
    for value in (HOSTILE, OBJECT, *SERIALISED):
        async with asyncio.timeout(DEADLINE_S):
            thread = (await ann.threads.create())["thread_id"]
            await ann.runs.wait(thread, "own_desk", input={"text": "hi"})
            result = await ann.runs.wait(thread, "own_desk", command={"resume": {"answer": value}})
            assert result["reply"] == {"answer": value}


async def test_records_return_their_data_unchanged(ann: Client) -> None:
    thread = await ann.threads.create(metadata={"sent": HOSTILE, "object": OBJECT})
    stored = (await ann.threads.get(thread["thread_id"]))["metadata"]
    assert (stored["sent"], stored["object"]) == (HOSTILE, OBJECT)
    assert len(await ann.threads.search(metadata={"object": OBJECT})) == 1
    configurable = {"sent": HOSTILE, "object": OBJECT}
    created = await ann.assistants.create("greet", config={"configurable": configurable}, metadata=configurable)
    assistant = await ann.assistants.get(created["assistant_id"])
    assert assistant["config"]["configurable"] == configurable
    assert {name: assistant["metadata"][name] for name in configurable} == configurable
    await ann.store.put_item(["n"], "k", {"sent": HOSTILE, "object": OBJECT})
    assert (await ann.store.get_item(["n"], "k"))["value"] == {"sent": HOSTILE, "object": OBJECT}
    cron = await ann.crons.create(created["assistant_id"], schedule="0 0 1 1 *", input={"text": OBJECT})
    stored_cron = next(one for one in await ann.crons.search() if one["cron_id"] == cron["cron_id"])
    assert stored_cron["payload"]["input"] == {"text": OBJECT}


async def test_patterns_in_names_match_only_themselves(ann: Client, bob: Client) -> None:
    await ann.store.put_item(["plain"], "key", {"text": "x"})
    for word in ("*", "[a-z]*", "?lain", "plai\\n", "%", "plain\r\n", "{plain}", "plain:*"):
        assert (await ann.store.search_items([word]))["items"] == [], word
        assert await ann.store.get_item(["plain"], word) is None, word
        assert await ann.threads.search(metadata={word: word}) == [], word
        await ann.store.put_item([word], word, {"text": word})
        assert [one["key"] for one in (await ann.store.search_items([word]))["items"]] == [word]
        assert await ann.threads.count(metadata={"owner": word}) == 0
    everything = await bob.store.list_namespaces(prefix=["*"], suffix=["*"])
    assert everything["namespaces"] == []
    assert [one["namespace"] for one in (await bob.store.search_items([]))["items"]] == []


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("value", ["text", 1, {"a": 1}, ["greet"]], ids=repr)
async def test_reserved_configurable_names_have_no_effect(
    served: Served, client: httpx.AsyncClient, ann: Client, bob: Client, value: Any
) -> None:
    """A run with them is rejected, or runs as its own user on its own thread, and the worker keeps running."""
    records = await create_one_of_each(ann)
    await ann.threads.update_state(
        (hers := (await ann.threads.create(graph_id="greet"))["thread_id"]), {"text": "secret of ann"}, as_node="say"
    )
    for name in RESERVED:
        sent = {"thread_id": hers, "user_id": "ann", "langgraph_auth_user_id": "ann"}.get(name, value)
        body = {"assistant_id": "greet", "input": {}, "config": {"configurable": {name: sent}}}
        token = {"authorization": "Bearer bob-token"}
        async with asyncio.timeout(DEADLINE_S):
            response = await client.post("/runs/wait", json=body, headers=token)
        assert response.status_code < 500, (name, response.text)
        assert "secret of ann" not in response.text
        user = response.json().get("details") or {"id": "bob", "user_id": "bob"}
        assert (user["id"], user["user_id"]) == ("bob", "bob"), (name, user)
    assert (await bob.runs.wait(None, "greet", input={"text": "hi"}))["text"] == "hi"
    assert (await ann.runs.get(records["thread_id"], records["run_id"]))["status"] == "pending"
    assert (await ann.threads.get_state(hers))["values"]["text"] == "secret of ann"
