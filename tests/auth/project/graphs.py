"""Graphs that return their user, call their own server, or depend on the user."""

import asyncio
import os
from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from langgraph_sdk import get_client
from langgraph_sdk.runtime import ServerRuntime

WORDS = ("cat", "dog", "tax")
WATCHED_WITHIN_S = 20
import_time_client = get_client()
"""Created before the server starts."""

factory_calls: list[str] = []
"""The access context and the user of each call of the factory."""


async def embed(texts: list[str]) -> list[list[float]]:
    """Counts each of `WORDS`; a constant keeps all vectors from being zero."""
    return [[text.count(word) + 0.01 for word in WORDS] for text in texts]


class State(TypedDict, total=False):
    text: str
    reply: str
    details: dict[str, Any]


async def say(state: State, config: RunnableConfig) -> State:
    """Returns a greeting, and the members of `configurable` about the user and the headers."""
    configurable = config["configurable"]
    user = configurable.get("langgraph_auth_user")
    details = {
        "id": configurable.get("langgraph_auth_user_id"),
        "permissions": configurable.get("langgraph_auth_permissions"),
        "user_id": configurable.get("user_id"),
    }
    details |= {name: configurable[name] for name in configurable if name.startswith("x-") or name == "authorization"}
    if user is not None:
        details |= {"team": user["team"], "identity": user.identity, "is": user.is_authenticated}
    return {"reply": f"{os.environ['GREETING']}, {details['user_id']}", "details": details}


async def keep(state: State, runtime: Runtime[None]) -> State:
    """Stores the text as a note."""
    assert runtime.store is not None
    await runtime.store.aput(("notes",), "one", {"text": state["text"]})
    return {}


async def ask(state: State) -> State:
    """Runs the graph `greet` with the in-process client."""
    assistants: Any = await import_time_client.assistants.search(graph_id="greet")
    result: Any = await get_client().runs.wait(None, assistants[0]["assistant_id"], input={"text": state["text"]})
    return {"reply": result["reply"]}


async def watch(state: State) -> State:
    """Follows a run of the graph `greet` with each stream of the in-process client."""
    server = get_client()
    thread: Any = await server.threads.create()
    events = [
        part.data async for part in server.runs.stream(thread["thread_id"], "greet", input={"text": state["text"]})
    ]
    async with asyncio.timeout(WATCHED_WITHIN_S), server.threads.stream(assistant_id="greet") as stream:
        await stream.run.start(input={"text": state["text"]})
        output: Any = await stream.output
    return {"reply": output["reply"], "details": {"first": events[0]}}


greet = StateGraph(State).add_node("say", say).add_edge(START, "say").compile()
remember = StateGraph(State).add_node("keep", keep).add_edge(START, "keep")


def make_ask_greet(runtime: ServerRuntime[None]) -> Any:
    """A factory that records the user for whom it is called."""
    factory_calls.append(f"{runtime.access_context} {None if runtime.user is None else runtime.user.identity}")
    return StateGraph(State).add_node("ask", ask).add_edge(START, "ask").compile()


def make_own_desk(runtime: ServerRuntime[None]) -> Any:
    """A factory whose graph has a node that is named after the user and interrupts."""
    desk = "nobody" if runtime.user is None else runtime.user.identity
    graph = StateGraph(State).add_node("begin", lambda state: {}).add_edge(START, "begin")
    return graph.add_node(desk, lambda state: {"reply": interrupt("well?")}).add_edge("begin", desk).compile()


watcher = StateGraph(State).add_node("watch", watch).add_edge(START, "watch")
