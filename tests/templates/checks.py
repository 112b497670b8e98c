"""The check of each template: sends messages to its graph and asserts the results."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.schema import StreamMode

Check = Callable[[LangGraphClient], Awaitable[None]]


async def _wait(
    client: LangGraphClient, thread: str | None, run_input: dict[str, Any], **options: Any
) -> dict[str, Any]:
    """The final values of a run. The options are not typed, because `wait` has overloads that a dict cannot match."""
    wait = cast(Any, client.runs.wait)
    return cast(dict[str, Any], await wait(thread, options.pop("assistant", "agent"), input=run_input, **options))


def _message(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def _texts(values: Any) -> list[str]:
    return [_text_of(message["content"]) for message in values["messages"]]


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(block.get("text", "") for block in content if isinstance(block, dict))


async def react_agent(client: LangGraphClient) -> None:
    """A tool call, a second run, another model by context, the recursion limit, schemas, and an assistant."""
    thread = (await client.threads.create())["thread_id"]
    modes: list[StreamMode] = ["messages-tuple", "updates", "values"]
    parts = [
        part async for part in client.runs.stream(thread, "agent", input=_message("search tea"), stream_mode=modes)
    ]
    nodes = [next(iter(part.data)) for part in parts if part.event == "updates"]
    assert nodes == ["call_model", "tools", "call_model"], nodes
    chunks = [part.data[0] for part in parts if part.event == "messages"]
    texts = [text for chunk in chunks if "Chunk" in chunk["type"] and (text := _text_of(chunk["content"]))]
    assert len(texts) > 3, texts
    assert "".join(texts).startswith("The tool says"), texts
    values = [part.data for part in parts if part.event == "values"][-1]
    assert [message["type"] for message in values["messages"]] == ["human", "ai", "tool", "ai"]
    assert '"max_results": 10' in _text_of(values["messages"][2]["content"])

    values = await _wait(client, thread, _message("hello"))
    assert _texts(values)[-1] == "You said hello"
    state = await client.threads.get_state(thread)
    assert len(cast(dict[str, Any], state["values"])["messages"]) == 6
    assert state["next"] == []
    history = await client.threads.get_history(thread, limit=50)
    assert len(history) == 8, len(history)

    context = {"model": "openai/gpt-4.1", "max_search_results": 3}
    values = await _wait(client, None, _message("search coffee"), context=context)
    assert '"max_results": 3' in _text_of(values["messages"][2]["content"])
    assert values["messages"][1]["response_metadata"]["model_provider"] == "openai"

    values = await _wait(client, None, _message("search x"), config={"recursion_limit": 2})
    assert _texts(values)[-1].startswith("Sorry, I could not find an answer"), _texts(values)

    assistant = await client.assistants.create("agent", context={"max_search_results": 7})
    values = await _wait(client, None, _message("search milk"), assistant=assistant["assistant_id"])
    assert '"max_results": 7' in _text_of(values["messages"][2]["content"])
    schemas = await client.assistants.get_schemas(assistant["assistant_id"])
    assert set((schemas["context_schema"] or {})["properties"]) == {"system_prompt", "model", "max_search_results"}
    drawing = await client.assistants.get_graph(assistant["assistant_id"])
    assert {node["id"] for node in drawing["nodes"]} == {"__start__", "call_model", "tools", "__end__"}


async def memory_agent(client: LangGraphClient) -> None:
    """A memory of one thread is stored, found by vector search and used in another thread, not for another user."""
    first = (await client.threads.create())["thread_id"]
    nodes = []
    async for part in client.runs.stream(
        first, "agent", input=_message("remember that I like green tea"), stream_mode="updates"
    ):
        nodes += [*part.data] if part.event == "updates" else []
    assert nodes == ["call_model", "store_memory", "call_model"], nodes
    assert (await client.threads.get_state(first))["next"] == []
    items = (await client.store.search_items(("memories", "default"), query="green tea"))["items"]
    assert [item["value"]["content"] for item in items] == ["remember that I like green tea"]
    assert (items[0]["score"] or 0) > 0.3, items[0]["score"]

    second = (await client.threads.create())["thread_id"]
    values = await _wait(client, second, _message("what do you know"))
    assert "green tea" in _texts(values)[-1], _texts(values)
    other = {"user_id": "another", "model": "openai/gpt-4.1"}
    values = await _wait(client, None, _message("what do you know"), context=other)
    assert _texts(values)[-1] == "I know nothing"
    await _wait(client, None, _message("remember the blue door"), context=other)
    namespaces = (await client.store.list_namespaces(prefix=["memories"]))["namespaces"]
    assert sorted(namespaces) == [["memories", "another"], ["memories", "default"]]
    values = await _wait(client, second, _message("hello"))
    assert len(values["messages"]) == 4
    assert len(await client.threads.get_history(second, limit=50)) == 6


async def new_langgraph_project(client: LangGraphClient) -> None:
    """Runs with and without context and configurable, a dataclass as the state, and a state write."""
    thread = (await client.threads.create())["thread_id"]
    output = "output from call_model. Configured with {}"
    values = await _wait(client, thread, {"changeme": "x"})
    assert values == {"changeme": output.format("None")}, values
    context = {"my_configurable_param": "blue", "unknown": 1}
    values = await _wait(client, thread, {"changeme": "x"}, context=context)
    assert values == {"changeme": output.format("blue")}, values
    config = {"configurable": {"my_configurable_param": "green"}}
    values = await _wait(client, None, {"changeme": "x"}, config=config)
    assert values == {"changeme": output.format("green")}, values
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


CHECKS: Final[dict[str, Check]] = {
    "react-agent": react_agent,
    "memory-agent": memory_agent,
    "new-langgraph-project": new_langgraph_project,
}


async def check(template: str, url: str) -> None:
    """Checks the template that is served at `url`. Raises `AssertionError` if a result is wrong."""
    await CHECKS[template](get_client(url=url))
