"""Graphs that use the long-term store, and an embedding function that knows three words."""

from typing import TypedDict

from langgraph.config import get_store
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime

WORDS = ("cat", "dog", "tax")


async def embed(texts: list[str]) -> list[list[float]]:
    """One dimension a word, with a little of everything."""
    return [[text.count(word) + 0.01 for word in WORDS] for text in texts]


class State(TypedDict, total=False):
    """What is to be remembered, and what was."""

    text: str
    found: list[str]


async def note(state: State, runtime: Runtime[None]) -> State:
    """Writes as an async node does."""
    assert runtime.store is not None
    await runtime.store.aput(("notes", "async"), "one", {"text": state["text"]})
    return {}


def note_too(state: State) -> State:
    """Writes as a synchronous node does: from a thread."""
    get_store().put(("notes", "sync"), "two", {"text": state["text"]})
    return {}


async def look(state: State, runtime: Runtime[None]) -> State:
    """Looks for something of that meaning."""
    assert runtime.store is not None
    found = await runtime.store.asearch(("notes",), query=state["text"], limit=1)
    return {"found": [item.value["text"] for item in found]}


_remember = StateGraph(State).add_node("note", note).add_node("note_too", note_too)
remember = _remember.add_edge(START, "note").add_edge("note", "note_too").compile()
recall = StateGraph(State).add_node("look", look).add_edge(START, "look").compile()
