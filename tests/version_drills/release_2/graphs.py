"""The graphs of release 2. `chain` and `fan` have a further node at the end. `desk` calls the node that asks by another
name; so does `pair`, without a migration. `nested` has a further node in its subgraph, in front of the one that asks.
`quiz` asks before its task instead of after it."""

from __future__ import annotations

import operator
from typing import Annotated, Any, Final, TypedDict

from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.types import Send, interrupt

from tests.version_drills.executed import Execution, step

RELEASE: Final = "2"


class State(TypedDict, total=False):
    """`log` has a line for each node that has ended, with its release."""

    log: Annotated[list[str], operator.add]
    item: str


def asking(name: str) -> Any:
    """A node that asks its name."""

    async def node(state: State) -> State:
        async with Execution(RELEASE, name):
            return {"log": [f"{name}:{interrupt(name)}@{RELEASE}"]}

    return node


def in_a_row(*names: str) -> StateGraph[State]:
    """Nodes one after the other; those whose name begins with `ask` ask."""
    builder, before = StateGraph(State), START
    for name in names:
        builder.add_node(name, asking(name) if name.startswith("ask") else step(RELEASE, name))
        builder.add_edge(before, name)
        before = name
    return builder


chain = in_a_row("one", "two", "three", "four").compile()
desk = in_a_row("draft", "ask_person", "send").compile()

_pair = StateGraph(State).add_node("ask_a", asking("ask_a")).add_node("ask_c", asking("ask_c"))
_pair.add_node("end", step(RELEASE, "end")).add_edge(START, "ask_a").add_edge(START, "ask_c")
pair = _pair.add_edge(["ask_a", "ask_c"], "end").compile()

_inner = in_a_row("look", "check", "ask_inside").compile()
_nested = StateGraph(State).add_node("intake", step(RELEASE, "intake")).add_node("inner", _inner)
nested = _nested.add_edge(START, "intake").add_edge("intake", "inner").compile()


async def work(state: State) -> State:
    """One item; the last one asks."""
    async with Execution(RELEASE, f"work {state['item']}"):
        done = f"work:{interrupt('work')}" if state["item"] == "c" else f"work-{state['item']}"
        return {"log": [f"{done}@{RELEASE}"]}


def sends(state: State) -> list[Send]:
    return [Send("work", {"item": item}) for item in "abc"]


_fan = StateGraph(State).add_node("plan", step(RELEASE, "plan")).add_node("work", work)
_fan.add_node("collect", step(RELEASE, "collect")).add_node("audit", step(RELEASE, "audit")).add_edge(START, "plan")
_fan.add_conditional_edges("plan", sends, ["work"]).add_edge("work", "collect")
fan = _fan.add_edge("collect", "audit").compile()


@task
async def prepare() -> str:
    async with Execution(RELEASE, "prepare"):
        return f"prepared@{RELEASE}"


@entrypoint()
async def quiz(graph_input: dict[str, Any]) -> dict[str, list[str]]:
    async with Execution(RELEASE, "quiz"):
        answer = interrupt("quiz")
        return {"log": [f"quiz:{answer}@{RELEASE}", await prepare()]}
