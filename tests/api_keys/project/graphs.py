"""A graph that replies, one that asks a person, and one that waits until a file exists."""

import asyncio
from pathlib import Path
from typing import TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

WORDS = ("cat", "dog", "tax")


class State(TypedDict, total=False):
    text: str
    reply: str


async def embed(texts: list[str]) -> list[list[float]]:
    """Counts each of `WORDS`; a constant keeps all vectors from being zero."""
    return [[text.count(word) + 0.01 for word in WORDS] for text in texts]


async def say(state: State, config: RunnableConfig) -> State:
    """Replies with the user and the owner of the run."""
    user = config["configurable"].get("langgraph_auth_user")
    return {"reply": "nobody" if user is None else f"{user.identity} of {user.get('owner')}"}


async def ask(state: State) -> State:
    return {"reply": interrupt("may I?")}


async def wait(state: State) -> State:
    """Waits for a file that the test creates."""
    while not Path(state["text"]).exists():  # noqa: ASYNC110
        await asyncio.sleep(0.02)  # the file appears when the test has seen what it wanted
    return {"reply": "done"}


greet = StateGraph(State).add_node("say", say).add_edge(START, "say").compile()
asking = StateGraph(State).add_node("ask", ask).add_edge(START, "ask").compile()
waiting = StateGraph(State).add_node("wait", wait).add_edge(START, "wait").compile()
