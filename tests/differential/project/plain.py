"""Small graphs over plain state: counting, choosing, asking, failing, looping."""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config, get_store, get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt


class Steps(TypedDict, total=False):
    """What the graphs of steps write."""

    value: int
    log: Annotated[list[str], operator.add]
    seen: Any


def first(state: Steps) -> Steps:
    return {"value": state.get("value", 0) + 1, "log": ["first"]}


def second(state: Steps) -> Steps:
    return {"value": state.get("value", 0) * 10, "log": ["second"]}


def third(state: Steps) -> Steps:
    return {"log": ["third"]}


def _line(*nodes: Any) -> StateGraph[Any]:
    return StateGraph(Steps).add_sequence(nodes).add_edge(START, nodes[0].__name__)


steps = _line(first, second, third).compile(name="steps")


def pause_last(state: Steps) -> Steps:
    return {"log": ["last"]}


stops_after_last = _line(first, pause_last).compile(interrupt_after=["pause_last"])
stops_before_second = _line(first, second, third).compile(interrupt_before=["second"])


def ask(state: Steps) -> Steps:
    answer = interrupt({"question": "go on?", "value": state.get("value", 0)})
    return {"log": [f"answered {answer}"], "seen": answer}


asks = _line(first, ask, third).compile()


def ask_again(state: Steps) -> Steps:
    return {"value": state.get("value", 0) + 1, "log": [str(interrupt(state.get("value", 0)))]}


asks_in_a_loop = (
    StateGraph(Steps)
    .add_node("ask_again", ask_again)
    .add_edge(START, "ask_again")
    .add_conditional_edges("ask_again", lambda state: "ask_again" if state["value"] < 4 else END, ["ask_again", END])
    .compile()
)


def ask_left(state: Steps) -> Steps:
    return {"log": [f"left {interrupt('left?')}"]}


def ask_right(state: Steps) -> Steps:
    return {"log": [f"right {interrupt('right?')}"]}


asks_twice = (
    StateGraph(Steps)
    .add_node("ask_left", ask_left)
    .add_node("ask_right", ask_right)
    .add_edge(START, "ask_left")
    .add_edge(START, "ask_right")
    .compile()
)


class Odd(Exception):
    """Of no class whose text a client may read."""


class Unprintable(Exception):
    """Cannot be described."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class NotesRaise(Exception):
    """Its notes cannot be read."""

    @property
    def __notes__(self) -> list[str]:  # type: ignore[override]
        raise RuntimeError("no notes")


class Pretends(Exception):
    """Says that it is of another class."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return ValueError


def _loop_of_causes() -> Exception:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    return one


def fail(state: Steps) -> Steps:
    kinds: dict[str, BaseException] = {
        "ValueError": ValueError("the value is wrong"),
        "KeyError": KeyError("a key"),
        "TypeError": TypeError("a type"),
        "ZeroDivisionError": ZeroDivisionError("by zero"),
        "TimeoutError": TimeoutError("too late"),
        "RuntimeError": RuntimeError(""),
        "Odd": Odd("an inside"),
        "Unprintable": Unprintable(),
        "NotesRaise": NotesRaise("noted"),
        "Pretends": Pretends("who am I"),
        "causes": _loop_of_causes(),
        "group": ExceptionGroup("several", [ValueError("one"), TypeError("two")]),
        "AssertionError": AssertionError("no"),
        "NotImplementedError": NotImplementedError("later"),
        "PermissionError": PermissionError(13, "not yours"),
    }
    raise kinds[str(state["seen"])]


fails = _line(first, fail).compile()


async def slow_step(state: Steps) -> Steps:
    await asyncio.sleep(0.2)
    return {"value": state.get("value", 0) + 1, "log": ["slow"]}


def again(state: Steps) -> str:
    return "slow_step" if state.get("value", 0) < 25 else END


slow = StateGraph(Steps).add_node(slow_step).add_edge(START, "slow_step").add_conditional_edges("slow_step", again)


def turn(state: Steps) -> Steps:
    return {"value": state.get("value", 0) + 1}


def _loop(turns: int) -> StateGraph[Any]:
    return (
        StateGraph(Steps)
        .add_node("turn", turn)
        .add_edge(START, "turn")
        .add_conditional_edges("turn", lambda state: "turn" if state["value"] < turns else END, ["turn", END])
    )


loop = _loop(60).compile()
loop_of_eight = _loop(60).compile().with_config({"recursion_limit": 8})
loop_tagged = _loop(3).compile().with_config({"tags": ["bound"], "metadata": {"bound": "yes"}, "run_name": "named"})


def loop_by_factory(config: RunnableConfig) -> Any:
    """Bound to eight, too."""
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


def jump(state: Steps) -> Command[Any]:
    return Command(update={"log": ["jump"]}, goto="third")


jumps = (
    StateGraph(Steps)
    .add_node("jump", jump, destinations=("second", "third"))
    .add_node("second", second)
    .add_node("third", third)
    .add_edge(START, "jump")
    .compile()
)


def say(state: Steps) -> Steps:
    write = get_stream_writer()
    write({"name": "progress", "payload": {"done": 1}})
    write({"name": "progress", "done": 2})
    write({"free": True})
    write("a text")
    write(7)
    write(["a", "list"])
    write(None)
    return {"log": ["said"]}


says = _line(say).compile()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else type(value).__name__


def look(state: Steps) -> Steps:
    """What a node sees of its config, without what LangGraph keeps for itself."""
    config = get_config()
    inner = config.get("configurable", {})
    return {
        "seen": {
            "configurable": _plain({key: value for key, value in inner.items() if not key.startswith("__")}),
            "metadata": _plain(config.get("metadata", {})),
            "tags": _plain(config.get("tags")),
            "recursion_limit": config.get("recursion_limit"),
            "run_name": config.get("run_name"),
        }
    }


looks = _line(look).compile()


async def remember(state: Steps) -> Steps:
    store = get_store()
    await store.aput(("notes", "own"), "last", {"value": state.get("value", 0)})
    found = await store.asearch(("notes",))
    return {"seen": sorted(item.key for item in found)}


remembers = _line(remember).compile()


def big(state: Steps) -> Steps:
    return {
        "seen": {"nan": float("nan"), "inf": float("inf"), "long": 2**70, "text": "\ud83d\ude00 é", "nul": "a\x00b"}
    }


odd_values = _line(big).compile()
