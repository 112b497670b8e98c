"""Graphs that use the long-term store, and an embedding function that counts three words."""

from typing import TypedDict

from langgraph.config import get_store
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime

WORDS = ("cat", "dog", "tax")


async def embed(texts: list[str]) -> list[list[float]]:
    """One dimension for each word. No vector is zero."""
    return [[text.count(word) + 0.01 for word in WORDS] for text in texts]


class State(TypedDict, total=False):
    """The text to store or to search for, and the texts that were found."""

    text: str
    found: list[str]


async def put_async(state: State, runtime: Runtime[None]) -> State:
    """Puts an item from an async node."""
    assert runtime.store is not None
    await runtime.store.aput(("notes", "async"), "one", {"text": state["text"]})
    return {}


def put_sync(state: State) -> State:
    """Puts an item from a synchronous node, which runs in a thread."""
    get_store().put(("notes", "sync"), "two", {"text": state["text"]})
    return {}


async def search(state: State, runtime: Runtime[None]) -> State:
    assert runtime.store is not None
    found = await runtime.store.asearch(("notes",), query=state["text"], limit=1)
    return {"found": [item.value["text"] for item in found]}


_remember = StateGraph(State).add_node("put_async", put_async).add_node("put_sync", put_sync)
remember = _remember.add_edge(START, "put_async").add_edge("put_async", "put_sync").compile()
recall = StateGraph(State).add_node("search", search).add_edge(START, "search").compile()
