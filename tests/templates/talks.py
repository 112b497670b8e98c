"""What is said to each template, and what must come of it; every talk fails with an `AssertionError` of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.schema import StreamMode

Talk = Callable[[LangGraphClient], Awaitable[None]]


async def _wait(client: LangGraphClient, thread: str | None, given: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The values that a run ends with; its options are not typed, since the method has one signature for each kind."""
    wait = cast(Any, client.runs.wait)
    return cast(dict[str, Any], await wait(thread, more.pop("assistant", "agent"), input=given, **more))


def _asked(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def _texts(values: Any) -> list[str]:
    return [_flat(message["content"]) for message in values["messages"]]


def _flat(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(block.get("text", "") for block in content if isinstance(block, dict))


async def react_agent(client: LangGraphClient) -> None:
    """A tool is called; a second turn; another model by context; the last step; schemas; an assistant."""
    thread = (await client.threads.create())["thread_id"]
    modes: list[StreamMode] = ["messages-tuple", "updates", "values"]
    parts = [part async for part in client.runs.stream(thread, "agent", input=_asked("search tea"), stream_mode=modes)]
    nodes = [next(iter(part.data)) for part in parts if part.event == "updates"]
    assert nodes == ["call_model", "tools", "call_model"], nodes
    chunks = [part.data[0] for part in parts if part.event == "messages"]
    pieces = [piece for chunk in chunks if "Chunk" in chunk["type"] and (piece := _flat(chunk["content"]))]
    assert len(pieces) > 3, pieces
    assert "".join(pieces).startswith("The tool says"), pieces
    values = [part.data for part in parts if part.event == "values"][-1]
    assert [message["type"] for message in values["messages"]] == ["human", "ai", "tool", "ai"]
    assert '"max_results": 10' in _flat(values["messages"][2]["content"])

    values = await _wait(client, thread, _asked("hello"))
    assert _texts(values)[-1] == "You said hello"
    state = await client.threads.get_state(thread)
    assert len(cast(dict[str, Any], state["values"])["messages"]) == 6
    assert state["next"] == []
    history = await client.threads.get_history(thread, limit=50)
    assert len(history) == 8, len(history)

    context = {"model": "openai/gpt-4.1", "max_search_results": 3}
    values = await _wait(client, None, _asked("search coffee"), context=context)
    assert '"max_results": 3' in _flat(values["messages"][2]["content"])
    assert values["messages"][1]["response_metadata"]["model_provider"] == "openai"

    values = await _wait(client, None, _asked("search x"), config={"recursion_limit": 2})
    assert _texts(values)[-1].startswith("Sorry, I could not find an answer"), _texts(values)

    assistant = await client.assistants.create("agent", context={"max_search_results": 7})
    values = await _wait(client, None, _asked("search milk"), assistant=assistant["assistant_id"])
    assert '"max_results": 7' in _flat(values["messages"][2]["content"])
    schemas = await client.assistants.get_schemas(assistant["assistant_id"])
    assert set((schemas["context_schema"] or {})["properties"]) == {"system_prompt", "model", "max_search_results"}
    drawing = await client.assistants.get_graph(assistant["assistant_id"])
    assert {node["id"] for node in drawing["nodes"]} == {"__start__", "call_model", "tools", "__end__"}


async def memory_agent(client: LangGraphClient) -> None:
    """What one thread says is stored, found by meaning, and known in another; another user's is not."""
    first = (await client.threads.create())["thread_id"]
    nodes = []
    async for part in client.runs.stream(
        first, "agent", input=_asked("remember that I like green tea"), stream_mode="updates"
    ):
        nodes += [*part.data] if part.event == "updates" else []
    assert nodes == ["call_model", "store_memory", "call_model"], nodes
    assert (await client.threads.get_state(first))["next"] == []
    found = (await client.store.search_items(("memories", "default"), query="green tea"))["items"]
    assert [item["value"]["content"] for item in found] == ["remember that I like green tea"]
    assert (found[0]["score"] or 0) > 0.3, found[0]["score"]

    second = (await client.threads.create())["thread_id"]
    values = await _wait(client, second, _asked("what do you know"))
    assert "green tea" in _texts(values)[-1], _texts(values)
    other = {"user_id": "another", "model": "openai/gpt-4.1"}
    values = await _wait(client, None, _asked("what do you know"), context=other)
    assert _texts(values)[-1] == "I know nothing"
    await _wait(client, None, _asked("remember the blue door"), context=other)
    namespaces = (await client.store.list_namespaces(prefix=["memories"]))["namespaces"]
    assert sorted(namespaces) == [["memories", "another"], ["memories", "default"]]
    values = await _wait(client, second, _asked("hello"))
    assert len(values["messages"]) == 4
    assert len(await client.threads.get_history(second, limit=50)) == 6


async def new_langgraph_project(client: LangGraphClient) -> None:
    """With and without what it is configured with; a state that is a dataclass; the state is written."""
    thread = (await client.threads.create())["thread_id"]
    said = "output from call_model. Configured with {}"
    values = await _wait(client, thread, {"changeme": "x"})
    assert values == {"changeme": said.format("None")}, values
    context = {"my_configurable_param": "blue", "unknown": 1}
    values = await _wait(client, thread, {"changeme": "x"}, context=context)
    assert values == {"changeme": said.format("blue")}, values
    config = {"configurable": {"my_configurable_param": "green"}}
    values = await _wait(client, None, {"changeme": "x"}, config=config)
    assert values == {"changeme": said.format("green")}, values
    parts = [
        part.event
        async for part in client.runs.stream(
            thread, "agent", input={"changeme": "y"}, stream_mode=["updates", "values"]
        )
    ]
    assert parts[:3] == ["metadata", "values", "updates"], parts
    await client.threads.update_state(thread, {"changeme": "written"}, as_node="call_model")
    assert (await client.threads.get_state(thread))["values"] == {"changeme": "written"}
    assert len(await client.threads.get_history(thread, limit=50)) == 10
    schemas = await client.assistants.get_schemas("agent")
    assert (schemas["context_schema"] or {})["properties"].keys() == {"my_configurable_param"}


TALKS: Final[dict[str, Talk]] = {
    "react-agent": react_agent,
    "memory-agent": memory_agent,
    "new-langgraph-project": new_langgraph_project,
}


async def talk(template: str, url: str) -> None:
    """Say everything to the template that is served there."""
    await TALKS[template](get_client(url=url))
