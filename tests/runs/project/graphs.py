"""Graphs whose nodes count how often they do their work."""

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
"""Thread id to how often each node did its work."""

REPORTS = 4
"""The number of parallel tasks of `reports`."""

gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
"""Thread id to the event that a node of the thread waits for."""


class State(TypedDict, total=False):
    """`until` is the number of rounds of a loop, `size` the bytes that each round adds to `log`."""

    value: int
    until: int
    size: int
    log: Annotated[list[str], operator.add]
    answers: Annotated[list[Any], operator.add]


def _count_effect(config: RunnableConfig, node: str) -> dict[str, Any]:
    effects[config["configurable"]["thread_id"]][node] += 1
    return {"log": [node]}


def _step(node: str) -> Any:
    async def work(state: State, config: RunnableConfig) -> dict[str, Any]:
        return _count_effect(config, node) | {"value": state.get("value", 0) + 1}

    return work


def _sequence(**nodes: Any) -> Graph:
    builder, before = StateGraph(State), START
    for name, node in nodes.items():
        builder.add_node(name, node)
        builder.add_edge(before, name)
        before = name
    return builder.compile()


async def ask_once(state: State, config: RunnableConfig) -> dict[str, Any]:
    """Interrupts, then does its work."""
    answer = interrupt("how much?")
    return _count_effect(config, "ask") | {"answers": [answer]}


async def ask_twice(state: State, config: RunnableConfig) -> dict[str, Any]:
    """Interrupts twice, one after the other."""
    answers = [interrupt("first?"), interrupt("second?")]
    return _count_effect(config, "twice") | {"answers": answers}


async def turn(state: State, config: RunnableConfig) -> dict[str, Any]:
    """One round of a loop; adds `size` bytes to the state."""
    return _count_effect(config, "turn") | {"value": state.get("value", 0) + 1, "log": ["x" * state.get("size", 1)]}


async def wait_at_gate(state: State, config: RunnableConfig) -> dict[str, Any]:
    """Waits until the test opens the gate of the thread."""
    await gates[config["configurable"]["thread_id"]].wait()
    return _count_effect(config, "gate")


def block_thread(state: State, config: RunnableConfig) -> dict[str, Any]:
    """A sync node that blocks its thread for `value` ms."""
    time.sleep(state["value"] / 1000)
    return _count_effect(config, "block")


async def block_event_loop(state: State, config: RunnableConfig) -> dict[str, Any]:
    """An async node that blocks the event loop for `value` ms."""
    until = time.monotonic() + state["value"] / 1000
    while time.monotonic() < until:
        pass
    return _count_effect(config, "spin")


async def fail(state: State, config: RunnableConfig) -> dict[str, Any]:
    """Always fails."""
    _count_effect(config, "fail")
    raise ConnectionError("not today")


async def stumble(state: State, config: RunnableConfig) -> dict[str, Any]:
    """Fails twice before it succeeds, each time that it is executed."""
    if _count_effect(config, "stumble") and effects[config["configurable"]["thread_id"]]["stumble"] % 3:
        raise ConnectionError("not yet")
    return {}


async def branch(state: State, config: RunnableConfig) -> dict[str, Any]:
    """One of several parallel tasks."""
    effects[config["configurable"]["thread_id"]][f"branch{state['value']}"] += 1
    return {"log": [f"branch{state['value']}"]}


def spread(state: State) -> list[Send]:
    """Five parallel tasks."""
    return [Send("branch", {"value": number}) for number in range(5)]


def spread_widely(state: State) -> list[Send]:
    """`value` - 1 parallel tasks."""
    return [Send("branch", {"value": number}) for number in range(state["value"] - 1)]


@task
async def square(number: int, config: RunnableConfig) -> int:
    """A task that an entrypoint or a node calls."""
    _count_effect(config, "square")
    return number * number


@entrypoint()
async def calls_at_once(input: dict[str, int]) -> dict[str, Any]:
    """Calls one task `value` times in parallel."""
    return {"value": sum(await asyncio.gather(*(square(number) for number in range(input["value"]))))}


@entrypoint()
async def calls_in_turn(input: dict[str, int]) -> dict[str, Any]:
    """Calls one task `value` times, one after the other."""
    return {"value": sum([await square(number) for number in range(input["value"])])}


async def call_in_turn(state: State) -> dict[str, Any]:
    """A node that calls a task with the name of the node."""
    return {"value": sum([await square(number) for number in range(state["value"])])}


def _chat() -> Graph:
    """Interrupts in an endless loop."""
    builder = StateGraph(State).add_node("turn", ask_once).add_edge(START, "turn")
    return builder.add_edge("turn", "turn").compile()


def _wide() -> Graph:
    builder = StateGraph(State).add_node("one", _step("one")).add_node("branch", branch).add_node("end", _step("end"))
    builder.add_edge(START, "one").add_conditional_edges("one", spread_widely, ["branch"])
    return builder.add_edge("branch", "end").compile()


async def report(state: State, config: RunnableConfig) -> dict[str, Any]:
    """One of `REPORTS` parallel tasks; streams its number as a custom event. The last one waits at the gate."""
    number, thread_id = state["value"], config["configurable"]["thread_id"]
    get_stream_writer()({"reports": number})
    if number == REPORTS - 1:
        await gates[thread_id].wait()
    effects[thread_id][f"report{number}"] += 1
    return {"log": [f"report{number}"]}


async def report_by_model(state: State, config: RunnableConfig) -> dict[str, Any]:
    """One of `REPORTS` parallel tasks; streams the output of a model."""
    model = GenericFakeChatModel(messages=iter([AIMessage(f"report {state['value']} is done")]))
    answer = await model.ainvoke("Report.", config)
    return {"log": [answer.text]}


def spread_reports(state: State) -> list[Send]:
    """All `REPORTS` parallel tasks."""
    return [Send("report", {"value": number}) for number in range(REPORTS)]


def _reports(node: Any = report) -> Graph:
    builder = StateGraph(State).add_node("one", _step("one")).add_node("report", node).add_node("end", _step("end"))
    builder.add_edge(START, "one").add_conditional_edges("one", spread_reports, ["report"])
    return builder.add_edge("report", "end").compile()


@task
async def report_called(number: int, config: RunnableConfig) -> int:
    """A report as a task that an entrypoint calls."""
    await report({"value": number}, config)
    return number


@entrypoint()
async def calls_reports(input: dict[str, int]) -> dict[str, Any]:
    """Calls all reports in parallel."""
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


steps = _sequence(one=_step("one"), two=_step("two"), three=_step("three"))
ask = _sequence(one=_step("one"), ask=ask_once, two=_step("two"))
reports = _reports()
inner_reports = _sequence(before=_step("before"), inner=_reports(), after=_step("after"))
models_report = _sequence(before=_step("before"), inner=_reports(report_by_model), after=_step("after"))
chat = _chat()
wide = _wide()
namesake = _sequence(square=call_in_turn, end=_step("end"))
gateless = _sequence(only=_step("only"))
stops_at_end = _sequence(one=_step("one"), three=_step("three"))
stops_at_end.interrupt_after_nodes = ["three"]
_stops_inside = _sequence(last=_step("last"))
_stops_inside.interrupt_after_nodes = ["last"]
inner_stop = _sequence(inner=_stops_inside)
asks = _asks()
loop = _loop()
fan = _fan()
block = _sequence(one=_step("one"), block=block_thread, two=_step("two"))
spin = _sequence(one=_step("one"), spin=block_event_loop, two=_step("two"))
gate = _sequence(one=_step("one"), gate=wait_at_gate, two=_step("two"))
talk = _sequence(one=_step("one"), twice=ask_twice, two=_step("two"))
inner_talk = _sequence(one=_step("one"), inner=_sequence(twice=ask_twice), two=_step("two"))


def _talks() -> Any:
    """Two parallel nodes that interrupt twice each."""
    builder = StateGraph(State)
    for name in ("left", "right"):
        builder.add_node(name, ask_twice)
        builder.add_edge(START, name)
    return builder.compile()


talks = _talks()
RETRY_AT_ONCE = RetryPolicy(0.001, 1, jitter=False, max_attempts=20)


def _flaky() -> StateGraph[State]:
    return StateGraph(State).add_node("fail", fail, retry_policy=RETRY_AT_ONCE)


def _stumbles() -> Graph:
    """An endless loop of a node that fails twice and a node that interrupts."""
    builder = StateGraph(State).add_node("stumble", stumble, retry_policy=RETRY_AT_ONCE).add_node("ask", ask_once)
    builder.add_edge(START, "stumble").add_edge("stumble", "ask")
    return builder.add_edge("ask", "stumble").compile()


flaky = _flaky().add_node("one", _step("one")).add_edge(START, "one").add_edge("one", "fail").compile()
inner_flaky = _sequence(inner=_flaky().add_edge(START, "fail").compile())
stumbles = _stumbles()
