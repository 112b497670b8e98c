"""JSON that some serialiser takes for an object, and names that LangGraph keeps for itself, in everything that is
stored and read again: they come back as they were sent, nothing is made of them, and the worker goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.attacks.hostile_values import SERIALISED, WORDS
from tests.attacks.rows import one_of_everything
from tests.auth.conftest import Client
from tests.http.conftest import Served

DEADLINE_S = 30
HOSTILE: list[Any] = [*SERIALISED, *(word for word in WORDS if "\0" not in word)]
"""NUL is replaced wherever JSON is written."""
OBJECT = {f"k{number}": value for number, value in enumerate(HOSTILE)} | {
    word: 1 for word in WORDS if word and "\0" not in word and len(word) < 50
}
RESERVED = (
    *("__pregel_send", "__pregel_read", "__pregel_call", "__pregel_checkpointer", "__pregel_stream", "__pregel_cache"),
    *("__pregel_resuming", "__pregel_task_id", "__pregel_dedupe_tasks", "__pregel_replay_state", "__pregel_scratchpad"),
    *("__pregel_runner_submit", "__pregel_durability", "__pregel_runtime", "__pregel_resume_map", "__pregel_store"),
    *("__pregel_checkpoint_ns", "checkpoint_map", "checkpoint_ns", "checkpoint_id", "thread_id", "user_id"),
    *("langgraph_auth_user", "langgraph_auth_user_id", "langgraph_auth_permissions", "langgraph_request_id"),
)
"""Names in `configurable` by which LangGraph and Slipway hand things to a graph."""


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
            told = await ann.runs.wait(thread, "own_desk", command={"resume": {"answer": value}})
            assert told["said"] == {"answer": value}


async def test_records_return_their_data_unchanged(ann: Client) -> None:
    thread = await ann.threads.create(metadata={"sent": HOSTILE, "object": OBJECT})
    kept = (await ann.threads.get(thread["thread_id"]))["metadata"]
    assert (kept["sent"], kept["object"]) == (HOSTILE, OBJECT)
    assert len(await ann.threads.search(metadata={"object": OBJECT})) == 1
    configurable = {"sent": HOSTILE, "object": OBJECT}
    made = await ann.assistants.create("greet", config={"configurable": configurable}, metadata=configurable)
    found = await ann.assistants.get(made["assistant_id"])
    assert found["config"]["configurable"] == configurable
    assert {name: found["metadata"][name] for name in configurable} == configurable
    await ann.store.put_item(["n"], "k", {"sent": HOSTILE, "object": OBJECT})
    assert (await ann.store.get_item(["n"], "k"))["value"] == {"sent": HOSTILE, "object": OBJECT}
    cron = await ann.crons.create(made["assistant_id"], schedule="0 0 1 1 *", input={"text": OBJECT})
    kept_cron = next(one for one in await ann.crons.search() if one["cron_id"] == cron["cron_id"])
    assert kept_cron["payload"]["input"] == {"text": OBJECT}


async def test_patterns_in_names_match_only_themselves(ann: Client, bob: Client) -> None:
    """A namespace, key or metadata name with a pattern in it is found by itself alone."""
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
    """A run with them ends as itself, or is refused; it gets no thread, identity or checkpoint of somebody else's, and
    the worker goes on."""
    theirs = await one_of_everything(ann)
    await ann.threads.update_state(
        (hers := (await ann.threads.create(graph_id="greet"))["thread_id"]), {"text": "secret of ann"}, as_node="say"
    )
    for name in RESERVED:
        given = {"thread_id": hers, "user_id": "ann", "langgraph_auth_user_id": "ann"}.get(name, value)
        body = {"assistant_id": "greet", "input": {}, "config": {"configurable": {name: given}}}
        token = {"authorization": "Bearer bob-token"}
        async with asyncio.timeout(DEADLINE_S):
            answer = await client.post("/runs/wait", json=body, headers=token)
        assert answer.status_code < 500, (name, answer.text)
        assert "secret of ann" not in answer.text
        told = answer.json().get("told") or {"id": "bob", "user_id": "bob"}
        assert (told["id"], told["user_id"]) == ("bob", "bob"), (name, told)
    assert (await bob.runs.wait(None, "greet", input={"text": "hi"}))["text"] == "hi"
    assert (await ann.runs.get(theirs["thread_id"], theirs["run_id"]))["status"] == "pending"
    assert (await ann.threads.get_state(hers))["values"]["text"] == "secret of ann"
