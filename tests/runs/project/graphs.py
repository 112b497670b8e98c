"""Graphs whose effects are counted outside of them."""

import asyncio
import operator
import time
from collections import Counter, defaultdict
from typing import Annotated, Any, TypedDict

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy, Send, interrupt

from slipway.graphs.interface import Graph

effects: defaultdict[str, Counter[str]] = defaultdict(Counter)
"""Thread id to how often each node has done its work."""

REPORTS = 4
"""Tasks that `reports` has side by side."""

gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
"""Thread id to what opens the gate of a node that waits."""


class State(TypedDict, total=False):
    """What all of them share."""

    value: int
    until: int
    size: int
    log: Annotated[list[str], operator.add]
    answers: Annotated[list[Any], operator.add]


def _did(config: RunnableConfig, node: str) -> dict[str, Any]:
    effects[config["configurable"]["thread_id"]][node] += 1
    return {"log": [node]}


def _step(node: str) -> Any:
    async def work(state: State, config: RunnableConfig) -> dict[str, Any]:
        return _did(config, node) | {"value": state.get("value", 0) + 1}

    return work


def _row(**nodes: Any) -> Graph:
    builder, before = StateGraph(State), START
    for name, node in nodes.items():
        builder.add_node(name, node)
        builder.add_edge(before, name)
        before = name
    return builder.compile()


async def ask_once(state: State, config: RunnableConfig) -> dict[str, Any]:
    """Asks, then works."""
    answer = interrupt("how much?")
    return _did(config, "ask") | {"answers": [answer]}


async def ask_twice(state: State, config: RunnableConfig) -> dict[str, Any]:
    """Asks two things, one after the other."""
    answers = [interrupt("first?"), interrupt("second?")]
    return _did(config, "twice") | {"answers": answers}


async def turn(state: State, config: RunnableConfig) -> dict[str, Any]:
    """One round of a loop, with a payload of `size` bytes."""
    return _did(config, "turn") | {"value": state.get("value", 0) + 1, "log": ["x" * state.get("size", 1)]}


async def wait_at_gate(state: State, config: RunnableConfig) -> dict[str, Any]:
    """Until the test opens the gate."""
    await gates[config["configurable"]["thread_id"]].wait()
    return _did(config, "gate")


def sleep_hard(state: State, config: RunnableConfig) -> dict[str, Any]:
    """A sync node that sleeps, as people write them."""
    time.sleep(state["value"] / 1000)
    return _did(config, "block")


async def spin_hard(state: State, config: RunnableConfig) -> dict[str, Any]:
    """An async node that never gives way."""
    until = time.monotonic() + state["value"] / 1000
    while time.monotonic() < until:
        pass
    return _did(config, "spin")


async def fail(state: State, config: RunnableConfig) -> dict[str, Any]:
    """Always fails."""
    _did(config, "fail")
    raise ConnectionError("not today")


async def stumble(state: State, config: RunnableConfig) -> dict[str, Any]:
    """Fails twice each time before it succeeds."""
    if _did(config, "stumble") and effects[config["configurable"]["thread_id"]]["stumble"] % 3:
        raise ConnectionError("not yet")
    return {}


async def branch(state: State, config: RunnableConfig) -> dict[str, Any]:
    """One of many in parallel."""
    effects[config["configurable"]["thread_id"]][f"branch{state['value']}"] += 1
    return {"log": [f"branch{state['value']}"]}


def spread(state: State) -> list[Send]:
    """To five at once."""
    return [Send("branch", {"value": number}) for number in range(5)]


def spread_widely(state: State) -> list[Send]:
    """To `value` at once."""
    return [Send("branch", {"value": number}) for number in range(state["value"] - 1)]


@task
async def square(number: int, config: RunnableConfig) -> int:
    """Work that is called."""
    _did(config, "square")
    return number * number


@entrypoint()
async def calls_at_once(given: dict[str, int]) -> dict[str, Any]:
    """Calls one task `value` times at the same time."""
    return {"value": sum(await asyncio.gather(*(square(number) for number in range(given["value"]))))}


@entrypoint()
async def calls_in_turn(given: dict[str, int]) -> dict[str, Any]:
    """Calls one task `value` times, one after the other."""
    return {"value": sum([await square(number) for number in range(given["value"])])}


async def call_in_turn(state: State) -> dict[str, Any]:
    """A node that calls a task of its own name."""
    return {"value": sum([await square(number) for number in range(state["value"])])}


def _chat() -> Graph:
    """Asks in a loop for ever."""
    builder = StateGraph(State).add_node("turn", ask_once).add_edge(START, "turn")
    return builder.add_edge("turn", "turn").compile()


def _wide() -> Graph:
    builder = StateGraph(State).add_node("one", _step("one")).add_node("branch", branch).add_node("end", _step("end"))
    builder.add_edge(START, "one").add_conditional_edges("one", spread_widely, ["branch"])
    return builder.add_edge("branch", "end").compile()


async def report(state: State, config: RunnableConfig) -> dict[str, Any]:
    """One of many in parallel, which says so. The last waits for its gate."""
    number, thread_id = state["value"], config["configurable"]["thread_id"]
    get_stream_writer()({"reports": number})
    if number == REPORTS - 1:
        await gates[thread_id].wait()
    effects[thread_id][f"report{number}"] += 1
    return {"log": [f"report{number}"]}


async def report_by_model(state: State, config: RunnableConfig) -> dict[str, Any]:
    """One of many in parallel, whose model streams what it says."""
    model = GenericFakeChatModel(messages=iter([AIMessage(f"report {state['value']} is done")]))
    answer = await model.ainvoke("Report.", config)
    return {"log": [answer.text]}


def spread_reports(state: State) -> list[Send]:
    """To all of them."""
    return [Send("report", {"value": number}) for number in range(REPORTS)]


def _reports(node: Any = report) -> Graph:
    builder = StateGraph(State).add_node("one", _step("one")).add_node("report", node).add_node("end", _step("end"))
    builder.add_edge(START, "one").add_conditional_edges("one", spread_reports, ["report"])
    return builder.add_edge("report", "end").compile()


@task
async def report_called(number: int, config: RunnableConfig) -> int:
    """A report that is called."""
    await report({"value": number}, config)
    return number


@entrypoint()
async def calls_reports(given: dict[str, int]) -> dict[str, Any]:
    """Calls all of them at once."""
    return {"value": sum(await asyncio.gather(*(report_called(number) for number in range(REPORTS))))}


def _asks() -> Graph:
    builder = StateGraph(State).add_node("left", ask_once).add_node("right", ask_once).add_node("end", _step("end"))
    builder.add_edge(START, "left").add_edge(START, "right")
    return builder.add_edge(["left", "right"], "end").compile()


def _loop() -> Graph:
    builder = StateGraph(State).add_node("turn", turn).add_edge(START, "turn")
    done = lambda state: "turn" if state["value"] < state.get("until", 10**9) else "__end__"  # noqa: E731
    return builder.add_conditional_edges("turn", done, ["turn", "__end__"]).compile()


def _fan() -> Graph:
    builder = StateGraph(State).add_node("one", _step("one")).add_node("branch", branch).add_node("end", _step("end"))
    builder.add_edge(START, "one").add_conditional_edges("one", spread, ["branch"])
    return builder.add_edge("branch", "end").compile()


steps = _row(one=_step("one"), two=_step("two"), three=_step("three"))
ask = _row(one=_step("one"), ask=ask_once, two=_step("two"))
reports = _reports()
inner_reports = _row(before=_step("before"), inner=_reports(), after=_step("after"))
models_report = _row(before=_step("before"), inner=_reports(report_by_model), after=_step("after"))
chat = _chat()
wide = _wide()
namesake = _row(square=call_in_turn, end=_step("end"))
gateless = _row(only=_step("only"))
stops_at_end = _row(one=_step("one"), three=_step("three"))
stops_at_end.interrupt_after_nodes = ["three"]
_stops_inside = _row(last=_step("last"))
_stops_inside.interrupt_after_nodes = ["last"]
inner_stop = _row(inner=_stops_inside)
asks = _asks()
loop = _loop()
fan = _fan()
block = _row(one=_step("one"), block=sleep_hard, two=_step("two"))
spin = _row(one=_step("one"), spin=spin_hard, two=_step("two"))
gate = _row(one=_step("one"), gate=wait_at_gate, two=_step("two"))
talk = _row(one=_step("one"), twice=ask_twice, two=_step("two"))
inner_talk = _row(one=_step("one"), inner=_row(twice=ask_twice), two=_step("two"))


def _talks() -> Any:
    """Two who ask at once, each two things."""
    builder = StateGraph(State)
    for name in ("left", "right"):
        builder.add_node(name, ask_twice)
        builder.add_edge(START, name)
    return builder.compile()


talks = _talks()
AT_ONCE = RetryPolicy(0.001, 1, jitter=False, max_attempts=20)


def _flaky() -> StateGraph[State]:
    return StateGraph(State).add_node("fail", fail, retry_policy=AT_ONCE)


def _stumbles() -> Graph:
    """Fails twice, asks, and so on for ever."""
    builder = StateGraph(State).add_node("stumble", stumble, retry_policy=AT_ONCE).add_node("ask", ask_once)
    builder.add_edge(START, "stumble").add_edge("stumble", "ask")
    return builder.add_edge("ask", "stumble").compile()


flaky = _flaky().add_node("one", _step("one")).add_edge(START, "one").add_edge("one", "fail").compile()
inner_flaky = _row(inner=_flaky().add_edge(START, "fail").compile())
stumbles = _stumbles()
