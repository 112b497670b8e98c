"""Small graphs with plain state: sequences, interrupts, failures, loops, jumps, custom events."""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config, get_store, get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt


class Steps(TypedDict, total=False):
    """The state of all graphs in this module. `failure` selects the error that `fails` raises."""

    value: int
    log: Annotated[list[str], operator.add]
    observed: Any
    failure: str


def first(state: Steps) -> Steps:
    return {"value": state.get("value", 0) + 1, "log": ["first"]}


def second(state: Steps) -> Steps:
    return {"value": state.get("value", 0) * 10, "log": ["second"]}


def third(state: Steps) -> Steps:
    return {"log": ["third"]}


def _sequence(*nodes: Any) -> StateGraph[Any]:
    return StateGraph(Steps).add_sequence(nodes).add_edge(START, nodes[0].__name__)


steps = _sequence(first, second, third).compile(name="steps")


def last(state: Steps) -> Steps:
    return {"log": ["last"]}


breakpoint_after_last = _sequence(first, last).compile(interrupt_after=["last"])
breakpoint_before_second = _sequence(first, second, third).compile(interrupt_before=["second"])


def interrupt_once(state: Steps) -> Steps:
    answer = interrupt({"question": "continue?", "value": state.get("value", 0)})
    return {"log": [f"answered {answer}"], "observed": answer}


interrupts = _sequence(first, interrupt_once, third).compile()


def interrupt_again(state: Steps) -> Steps:
    return {"value": state.get("value", 0) + 1, "log": [str(interrupt(state.get("value", 0)))]}


interrupts_in_a_loop = (
    StateGraph(Steps)
    .add_node("interrupt_again", interrupt_again)
    .add_edge(START, "interrupt_again")
    .add_conditional_edges(
        "interrupt_again", lambda state: "interrupt_again" if state["value"] < 4 else END, ["interrupt_again", END]
    )
    .compile()
)


def interrupt_left(state: Steps) -> Steps:
    return {"log": [f"left {interrupt('left?')}"]}


def interrupt_right(state: Steps) -> Steps:
    return {"log": [f"right {interrupt('right?')}"]}


interrupts_twice = (
    StateGraph(Steps)
    .add_node("interrupt_left", interrupt_left)
    .add_node("interrupt_right", interrupt_right)
    .add_edge(START, "interrupt_left")
    .add_edge(START, "interrupt_right")
    .compile()
)


class HiddenText(Exception):
    """Clients do not receive the text of an exception of such a class."""


class Unprintable(Exception):
    """`str()` of it raises."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class NotesRaise(Exception):
    """Reading its notes raises."""

    @property
    def __notes__(self) -> list[str]:  # type: ignore[override]
        raise RuntimeError("no notes")


class FalseClass(Exception):
    """Its `__class__` is another class."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return ValueError


def _circular_causes() -> Exception:
    first_error, second_error = ValueError("first"), ValueError("second")
    first_error.__cause__, second_error.__cause__ = second_error, first_error
    return first_error


def fail(state: Steps) -> Steps:
    errors: dict[str, BaseException] = {
        "ValueError": ValueError("the value is wrong"),
        "KeyError": KeyError("a key"),
        "TypeError": TypeError("a type"),
        "ZeroDivisionError": ZeroDivisionError("by zero"),
        "TimeoutError": TimeoutError("too late"),
        "RuntimeError": RuntimeError(""),
        "HiddenText": HiddenText("internal"),
        "Unprintable": Unprintable(),
        "NotesRaise": NotesRaise("noted"),
        "FalseClass": FalseClass("false class"),
        "circular_causes": _circular_causes(),
        "group": ExceptionGroup("several", [ValueError("one"), TypeError("two")]),
        "AssertionError": AssertionError("no"),
        "NotImplementedError": NotImplementedError("later"),
        "PermissionError": PermissionError(13, "not yours"),
    }
    raise errors[state["failure"]]


fails = _sequence(first, fail).compile()


async def slow_step(state: Steps) -> Steps:
    await asyncio.sleep(0.2)
    return {"value": state.get("value", 0) + 1, "log": ["slow"]}


def next_slow_step(state: Steps) -> str:
    return "slow_step" if state.get("value", 0) < 25 else END


slow = (
    StateGraph(Steps)
    .add_node(slow_step)
    .add_edge(START, "slow_step")
    .add_conditional_edges("slow_step", next_slow_step)
)


def count(state: Steps) -> Steps:
    return {"value": state.get("value", 0) + 1}


def _loop(rounds: int) -> StateGraph[Any]:
    return (
        StateGraph(Steps)
        .add_node("count", count)
        .add_edge(START, "count")
        .add_conditional_edges("count", lambda state: "count" if state["value"] < rounds else END, ["count", END])
    )


loop = _loop(60).compile()
loop_limited = _loop(60).compile().with_config({"recursion_limit": 8})
loop_tagged = _loop(3).compile().with_config({"tags": ["bound"], "metadata": {"bound": "yes"}, "run_name": "named"})


def loop_limited_factory(config: RunnableConfig) -> Any:
    """Returns a graph with the recursion limit of `loop_limited`."""
    return _loop(60).compile().with_config({"recursion_limit": 8})


def fan(state: Steps) -> list[Send]:
    return [Send("leaf", {"value": number}) for number in range(state.get("value", 3))]


def leaf(state: Steps) -> Steps:
    return {"log": [f"leaf {state['value']}"]}


def gather(state: Steps) -> Steps:
    return {"value": len(state.get("log", []))}


fan_out = (
    StateGraph(Steps)
    .add_node("leaf", leaf)
    .add_node("gather", gather)
    .add_conditional_edges(START, fan, ["leaf"])
    .add_edge("leaf", "gather")
    .compile()
)


def goto_third(state: Steps) -> Command[Any]:
    return Command(update={"log": ["goto_third"]}, goto="third")


goto = (
    StateGraph(Steps)
    .add_node("goto_third", goto_third, destinations=("second", "third"))
    .add_node("second", second)
    .add_node("third", third)
    .add_edge(START, "goto_third")
    .compile()
)


def write_custom(state: Steps) -> Steps:
    write = get_stream_writer()
    write({"name": "progress", "payload": {"done": 1}})
    write({"name": "progress", "done": 2})
    write({"free": True})
    write("a text")
    write(7)
    write(["a", "list"])
    write(None)
    return {"log": ["written"]}


custom_events = _sequence(write_custom).compile()


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _as_json(item) for key, item in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else type(value).__name__


def observe_config(state: Steps) -> Steps:
    """Returns the config that a node receives, without the entries that only LangGraph uses."""
    config = get_config()
    configurable = config.get("configurable", {})
    return {
        "observed": {
            "configurable": _as_json({key: value for key, value in configurable.items() if not key.startswith("__")}),
            "metadata": _as_json(config.get("metadata", {})),
            "tags": _as_json(config.get("tags")),
            "recursion_limit": config.get("recursion_limit"),
            "run_name": config.get("run_name"),
        }
    }


observed_config = _sequence(observe_config).compile()


async def use_store(state: Steps) -> Steps:
    store = get_store()
    await store.aput(("notes", "own"), "last", {"value": state.get("value", 0)})
    items = await store.asearch(("notes",))
    return {"observed": sorted(item.key for item in items)}


uses_store = _sequence(use_store).compile()


def write_non_json(state: Steps) -> Steps:
    return {
        "observed": {"nan": float("nan"), "inf": float("inf"), "long": 2**70, "text": "\ud83d\ude00 é", "nul": "a\x00b"}
    }


non_json_values = _sequence(write_non_json).compile()
