"""Graphs whose tools need approval."""

import asyncio
import operator
from collections import defaultdict
from random import randrange, sample
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.tools import tool
from langgraph.config import get_config
from langgraph.graph import START, StateGraph, add_messages
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, Send, interrupt

import slipway.tools
from slipway.errors import ToolError
from slipway.graphs.interface import Graph

effects: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
"""Thread id to what was done on it."""

executed: defaultdict[str, list[tuple[str, str, dict[str, Any]]]] = defaultdict(list)
"""Thread id to idempotency key, name and arguments of each call of `settle_order`."""

evaluated: defaultdict[str, int] = defaultdict(int)
"""Thread id to how often the predicate was evaluated."""


may_ship: set[str] = set()
"""The threads whose node `ship` does not fail."""


meanwhile: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
"""By thread: set when `slow_note` waits for the failure of `fail_meanwhile`."""
failed_meanwhile: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)


def thread_id() -> str:
    return str(get_config()["configurable"]["thread_id"])


@slipway.tools.tool(access="write", approval="always")
@tool
async def refund(order: str, amount: float = 1.0) -> str:
    """Refund an order."""
    effects[thread_id()].append(("refund", order, amount))
    return f"refunded {order}: {amount}"


def above_ten(args: dict[str, Any]) -> Any:
    """Whether a payment needs approval. Its answer changes each time."""
    evaluated[thread_id()] += 1
    if args["amount"] > 1000:
        return "two_people"
    if args["amount"] == 666:
        raise ValueError("what now?")
    return args["amount"] > 10 and evaluated[thread_id()] % 2 == 1


def policy_of_order(args: dict[str, Any]) -> str:
    """Large amounts need two people."""
    return "two_people" if args["amount"] > 1000 else "timed"


@slipway.tools.tool(access="write", approval=policy_of_order)
async def settle_order(order: str, amount: int) -> str:
    """Settle an order."""
    call = (slipway.tools.idempotency_key(), "settle_order", {"order": order, "amount": amount})
    executed[thread_id()].append(call)
    return f"settled {order}"


@slipway.tools.tool(access="write", approval=above_ten, redact=["card.number"])
async def pay(to: str, amount: int, card: dict[str, str] | None = None) -> str:
    """Pay an amount."""
    effects[thread_id()].append(("pay", to, amount, card))
    return f"paid {to}"


@slipway.tools.tool(access="write")
async def note(text: str) -> str:
    """Write a note, which needs no approval."""
    effects[thread_id()].append(("note", text))
    return f"noted {text}"


@slipway.tools.tool(access="write", approval="finance")
async def wire(to: str) -> str:
    """Wire money, when another person of the finance department has approved it."""
    effects[thread_id()].append(("wire", to))
    return f"wired {to}"


@slipway.tools.tool(access="write", approval="finance_in_time")
async def credit(to: str) -> str:
    """Credit money, if the finance department does not object in time."""
    effects[thread_id()].append(("credit", to))
    return f"credited {to}"


@slipway.tools.tool(access="write")
async def survey(question: str) -> str:
    """A tool that asks a person itself."""
    answer = interrupt(question)
    effects[thread_id()].append(("survey", answer))
    return f"surveyed {answer}"


async def slow_rule(args: dict[str, Any]) -> bool:
    """A rule that takes so long that another call of the task is asked about first."""
    await asyncio.sleep(0.3)
    return True


@slipway.tools.tool(access="write", approval=slow_rule)
async def transfer(to: str) -> str:
    """Transfer money."""
    effects[thread_id()].append(("transfer", to))
    return f"transferred to {to}"


@slipway.tools.tool(access="write", approval="always")
async def invite(guests: list[str]) -> str:
    """Invite guests."""
    effects[thread_id()].append(("invite", tuple(guests)))
    return "invited"


@slipway.tools.tool(access="write")
async def slow_note(text: str) -> str:
    """Write a note after another node of the superstep has failed."""
    meanwhile[thread_id()].set()
    await failed_meanwhile[thread_id()].wait()
    await asyncio.sleep(0.05)  # in which the task of the node is cancelled
    effects[thread_id()].append(("slow_note", text))
    return f"noted {text}"


@slipway.tools.tool(access="read")
async def broken() -> str:
    """A tool whose service is down."""
    effects[thread_id()].append(("broken",))
    raise ConnectionError("the service is down")


@slipway.tools.tool(access="read", fallback="note")
async def replaced(text: str) -> str:
    """The same, with another tool that takes its place."""
    effects[thread_id()].append(("replaced",))
    raise ConnectionError("the service is down")


@slipway.tools.tool(access="write")
async def forbidden(text: str) -> str:
    """A tool that this graph may not call."""
    effects[thread_id()].append(("forbidden", text))
    return text


class State(TypedDict, total=False):
    """`calls` are names and arguments of the calls of the tools."""

    calls: list[tuple[str, dict[str, Any]]]
    call: tuple[str, dict[str, Any]]
    answers: Annotated[list[Any], operator.add]
    messages: Annotated[list[AnyMessage], add_messages]


async def _called(name: str, args: dict[str, Any]) -> Any:
    try:
        return await slipway.tools.call(name, **args)
    except ToolError as error:
        return f"{type(error).__name__}: {error}"


async def in_turn(state: State) -> dict[str, Any]:
    """One call after another, in one task."""
    return {"answers": [await _called(name, args) for name, args in state["calls"]]}


async def asks_too(state: State) -> dict[str, Any]:
    """A call between two questions of the node itself."""
    first = interrupt("first?")
    result = await _called(*state["calls"][0])
    return {"answers": [first, result, interrupt("second?")]}


async def one_call(state: State) -> dict[str, Any]:
    return {"answers": [await _called(*state["call"])]}


async def at_once(state: State) -> dict[str, Any]:
    """All calls at once, in one task."""
    return {"answers": await asyncio.gather(*(_called(name, args) for name, args in state["calls"]))}


async def in_any_order(state: State) -> dict[str, Any]:
    """The same, and another one begins first each time that the node is executed."""

    async def late(name: str, args: dict[str, Any]) -> Any:
        for _ in range(randrange(8)):
            await asyncio.sleep(0)
        return await _called(name, args)

    positions = sample(range(len(state["calls"])), len(state["calls"]))
    answers = await asyncio.gather(*(late(*state["calls"][position]) for position in positions))
    return {"answers": [answer for _, answer in sorted(zip(positions, answers, strict=True))]}


async def changes_its_list(state: State) -> dict[str, Any]:
    """Calls a tool with a list, and adds to the list while the call is on its way."""
    guests = ["ann"]
    call = asyncio.create_task(invite(guests))
    while not call.done():
        await asyncio.sleep(0)
        guests.append("eve")
    return {"answers": [await call]}


async def plan(state: State) -> dict[str, Any]:
    return {"answers": ["planned"]}


async def ship(state: State) -> dict[str, Any]:
    """Fails until the test permits it."""
    if thread_id() not in may_ship:
        raise ValueError("no lorry")
    return {"answers": ["shipped"]}


async def pay_and_ship(state: State) -> dict[str, Any]:
    return {"answers": [*(await in_turn(state))["answers"], *(await ship(state))["answers"]]}


def model(state: State) -> dict[str, Any]:
    calls = [
        {"name": name, "args": args, "id": f"call_{number}", "type": "tool_call"}
        for number, (name, args) in enumerate(state["calls"])
    ]
    return {"messages": [AIMessage("", tool_calls=calls)]}


def _graph(*nodes: tuple[str, Any]) -> Graph:
    builder, before = StateGraph(State), START
    for name, node in nodes:
        builder.add_node(name, node)
        builder.add_edge(before, name)
        before = name
    return builder.compile()


async def carelessly(state: State) -> dict[str, Any]:
    try:
        return await in_turn(state)
    except Exception as error:
        return {"answers": [type(error).__name__]}


sequence = _graph(("pay", in_turn))
careless = _graph(("pay", carelessly))
together = _graph(("pay", at_once))
shuffled = _graph(("pay", in_any_order))
changing = _graph(("pay", changes_its_list))
questions = _graph(("pay", asks_too))
tool_node = _graph(("model", model), ("pay", ToolNode([refund])))

in_a_row = _graph(("plan", plan), ("pay", in_turn), ("ship", ship))
in_one_node = _graph(("plan", plan), ("pay", pay_and_ship), ("end", plan))


async def jump(state: State) -> Command[Any]:
    """Goes to `pay` without an edge."""
    return Command(goto="ship" if "jumped" in state["answers"] else "pay", update={"answers": ["jumped"]})


_jumps = StateGraph(State).add_node("jump", jump).add_node("pay", in_turn).add_node("ship", ship)
jumps = _jumps.add_edge(START, "jump").add_edge("pay", "ship").compile()

_beside = StateGraph(State).add_node("plan", plan).add_node("pay", in_turn).add_node("ship", ship)
beside = _beside.add_edge(START, "plan").add_edge("plan", "pay").add_edge("plan", "ship").compile()
"""One superstep pays and ships."""


async def fail_meanwhile(state: State) -> dict[str, Any]:
    """Fails while `slow_note` acts, the first time."""
    if thread_id() in may_ship:
        return {"answers": ["shipped"]}
    await meanwhile[thread_id()].wait()
    failed_meanwhile[thread_id()].set()
    raise ValueError("no lorry")


_meanwhile = StateGraph(State).add_node("pay", in_turn).add_node("ship", fail_meanwhile)
fails_meanwhile = _meanwhile.add_edge(START, "pay").add_edge(START, "ship").compile()

_parallel = StateGraph(State)
_parallel.add_node("pay", one_call)
_parallel.add_conditional_edges(START, lambda state: [Send("pay", {"call": call}) for call in state["calls"]])
parallel = _parallel.compile()
