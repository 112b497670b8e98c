"""Graphs that know for whom they run."""

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
early = get_client()
"""Made before there is a server."""

wanted: list[str] = []
"""Why and by whom the factory's graph was wanted."""


async def embed(texts: list[str]) -> list[list[float]]:
    """One dimension a word, with a little of everything."""
    return [[text.count(word) + 0.01 for word in WORDS] for text in texts]


class State(TypedDict, total=False):
    """What all of them share."""

    text: str
    said: str
    told: dict[str, Any]


async def say(state: State, config: RunnableConfig) -> State:
    """A greeting, and everything that says who it is for."""
    known = config["configurable"]
    user = known.get("langgraph_auth_user")
    told = {"id": known.get("langgraph_auth_user_id"), "permissions": known.get("langgraph_auth_permissions")}
    told["user_id"] = known.get("user_id")
    told |= {name: known[name] for name in known if name.startswith("x-") or name == "authorization"}
    if user is not None:
        told |= {"team": user["team"], "identity": user.identity, "is": user.is_authenticated}
    return {"said": f"{os.environ['GREETING']}, {told['user_id']}", "told": told}


async def keep(state: State, runtime: Runtime[None]) -> State:
    """A note."""
    assert runtime.store is not None
    await runtime.store.aput(("notes",), "one", {"text": state["text"]})
    return {}


async def ask(state: State) -> State:
    """Has another graph greet, by the server's own client."""
    made: Any = await early.assistants.search(graph_id="greet")
    answer: Any = await get_client().runs.wait(None, made[0]["assistant_id"], input={"text": state["text"]})
    return {"said": answer["said"]}


async def watch(state: State) -> State:
    """Follows another graph as it goes, by each of the client's streams."""
    server = get_client()
    thread: Any = await server.threads.create()
    words = [
        part.data async for part in server.runs.stream(thread["thread_id"], "greet", input={"text": state["text"]})
    ]
    async with asyncio.timeout(WATCHED_WITHIN_S), server.threads.stream(assistant_id="greet") as stream:
        await stream.run.start(input={"text": state["text"]})
        output: Any = await stream.output
    return {"said": output["said"], "told": {"first": words[0]}}


greet = StateGraph(State).add_node("say", say).add_edge(START, "say").compile()
remember = StateGraph(State).add_node("keep", keep).add_edge(START, "keep")


def make_ask_greet(runtime: ServerRuntime[None]) -> Any:
    """A factory that knows who wants the graph."""
    wanted.append(f"{runtime.access_context} {None if runtime.user is None else runtime.user.identity}")
    return StateGraph(State).add_node("ask", ask).add_edge(START, "ask").compile()


def make_own_desk(runtime: ServerRuntime[None]) -> Any:
    """A node that is named after the user, and asks."""
    desk = "nobody" if runtime.user is None else runtime.user.identity
    graph = StateGraph(State).add_node("begin", lambda state: {}).add_edge(START, "begin")
    return graph.add_node(desk, lambda state: {"said": interrupt("well?")}).add_edge("begin", desk).compile()


watcher = StateGraph(State).add_node("watch", watch).add_edge(START, "watch")
