"""Graphs whose nodes record that they ran, and may wait until the test opens their gate."""

import asyncio
import operator
from collections import defaultdict
from typing import Annotated, Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph

RAN: dict[str, list[str]] = defaultdict(list)
"""By thread: the nodes that ran, in order."""
GATES: dict[str, asyncio.Event] = {}
"""By node: what it waits for. A node without a gate waits for nothing."""
FAILS: set[str] = set()
"""The nodes that fail."""


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


def thread_of(config: RunnableConfig) -> str:
    return str(config["configurable"]["thread_id"])


def node(name: str) -> Any:
    """An async node."""

    async def run(state: State, config: RunnableConfig) -> State:
        RAN[thread_of(config)].append(name)
        if name in GATES:
            await GATES[name].wait()
        if name in FAILS:
            raise ValueError(f"{name} fails")
        return {"log": [name]}

    return run


def sync_node(name: str) -> Any:
    """A node that LangGraph executes in a thread."""

    def run(state: State, config: RunnableConfig) -> State:
        RAN[thread_of(config)].append(name)
        return {"log": [name]}

    return run


def in_a_row(**nodes: Any) -> StateGraph[Any]:
    builder, before = StateGraph(State), START
    for name, each in nodes.items():
        builder.add_node(name, each).add_edge(before, name)
        before = name
    return builder


chain = in_a_row(first=node("first"), second=node("second"), third=node("third")).compile()
inner = in_a_row(draft=node("draft"), pay=sync_node("pay")).compile()
nested = in_a_row(before=node("before"), sub=inner, after=node("after")).compile()


inner_of_node = in_a_row(draft=node("draft"), pay=node("pay")).compile()


async def call_inner(state: State, config: RunnableConfig) -> State:
    """Calls a graph, and survives its failure."""
    try:
        result = await inner_of_node.ainvoke({"log": []}, config)
    except Exception:
        return {"log": ["survived"]}
    return {"log": result["log"]}


called = in_a_row(call=call_inner, after=node("after")).compile()

_wide = StateGraph(State)
for each in ("left", "right"):
    _wide.add_node(each, in_a_row(**{f"{each}_one": node(f"{each}_one"), f"{each}_two": node(f"{each}_two")}).compile())
    _wide.add_edge(START, each)
wide = _wide.compile()

fails = in_a_row(first=node("first"), second=node("second"), third=node("third")).compile()


@tool
async def send_mail(thread_id: str) -> str:
    """Send a mail."""
    RAN[thread_id].append("send_mail")
    return "sent"


async def write_mail(state: State, config: RunnableConfig) -> State:
    """Calls a tool that the project does not register."""
    RAN[thread_of(config)].append("write_mail")
    return {"log": [await send_mail.ainvoke({"thread_id": thread_of(config)})]}


mails = in_a_row(first=node("first"), write_mail=write_mail).compile()
