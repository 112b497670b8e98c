"""Exceptions and objects that raise when Slipway reads or encodes them, and graphs that raise or store them."""

import asyncio
import operator
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.errors import GraphDrained
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import RetryPolicy, interrupt
from pydantic import BaseModel, model_serializer

from slipway.errors import Fenced, RunFailure
from slipway.graphs.interface import Graph

effects: defaultdict[str, Counter[str]] = defaultdict(Counter)
"""Thread id to how often each node did its work."""


class State(TypedDict, total=False):
    """`kind` names the exception to raise."""

    kind: str
    log: Annotated[list[str], operator.add]


def _raises(*_: Any) -> Any:
    raise ZeroDivisionError("from within")


def _exits(*_: Any) -> Any:
    raise SystemExit(3)


class StrRaises(Exception):
    """Its text cannot be read."""

    __str__ = __repr__ = _raises


class StrExits(Exception):
    """Reading its text raises SystemExit."""

    __str__ = __repr__ = _exits


class StrIsNone(Exception):
    """Its text is None."""

    __str__ = lambda self: None  # type: ignore[assignment,return-value]  # noqa: E731


class StrNeverEnds(Exception):
    """Reading its text recurses without end."""

    def __str__(self) -> str:
        return f"{self}"


class Text(str):
    """A subclass of `str` whose methods raise."""

    __str__ = __format__ = __getitem__ = __len__ = __add__ = encode = replace = _raises  # type: ignore[assignment]


class StrIsStrange(Exception):
    """Its text is of a hostile subclass of `str`."""

    def __str__(self) -> str:
        return Text("strange")


class Compares(Exception):
    """It cannot be compared, hashed or pickled."""

    __eq__ = __ne__ = __hash__ = __lt__ = __getstate__ = __reduce__ = __reduce_ex__ = _raises


class ClassRaises(Exception):
    """Reading `__class__` raises."""

    __class__ = property(_raises)


class ClassLies(Exception):
    """`__class__` is another class."""

    __class__ = property(lambda self: Fenced)


class AttributesRaise(Exception):
    """Reading any attribute raises."""

    def __getattribute__(self, name: str) -> Any:
        raise ZeroDivisionError(name)


class NotesRaise(Exception):
    """Reading its notes raises."""

    __notes__ = property(_raises)


class CausesRaise(Exception):
    """Reading its causes raises."""

    __cause__ = __context__ = __traceback__ = __suppress_context__ = property(_raises)


class _HostileMeta(type):
    __name__ = __doc__ = property(_raises)
    __eq__ = __hash__ = __repr__ = __str__ = _raises


def _hostile_class() -> Any:
    return _HostileMeta("ClassOfHostileMeta", (Exception,), {})


class FencedSubclass(Fenced):
    """A subclass of an exception of Slipway."""


class Cyclic(Exception):
    """It is the cause of its own cause."""

    def __init__(self) -> None:
        super().__init__("cyclic")
        other = ValueError("other")
        self.__cause__, other.__cause__ = other, self


class LongChain(Exception):
    """It has a chain of a thousand causes."""

    def __init__(self) -> None:
        super().__init__("long")
        last: BaseException = self
        for number in range(1000):
            last.__cause__ = ValueError(str(number))
            last = last.__cause__


class Coded(RunFailure):
    """A RunFailure whose code cannot be read."""

    code = property(_raises)


class UnknownInterruptError(Exception):
    """It has the name of an exception of LangGraph."""

    pending_ids = property(_raises)


class Bare(BaseException):
    """A BaseException that is not an Exception."""


KINDS: dict[str, Callable[[], BaseException]] = {
    "StrRaises": StrRaises,
    "StrExits": StrExits,
    "StrIsNone": StrIsNone,
    "StrNeverEnds": StrNeverEnds,
    "StrIsStrange": StrIsStrange,
    "Compares": Compares,
    "ClassRaises": ClassRaises,
    "ClassLies": ClassLies,
    "AttributesRaise": AttributesRaise,
    "NotesRaise": NotesRaise,
    "CausesRaise": CausesRaise,
    "ClassOfHostileMeta": lambda: _hostile_class()("hostile"),
    "FencedSubclass": lambda: FencedSubclass("mine"),
    "Fenced": lambda: Fenced("no"),
    "GraphDrained": lambda: GraphDrained("no"),
    "Coded": lambda: Coded("coded"),
    "UnknownInterruptError": UnknownInterruptError,
    "Cyclic": Cyclic,
    "LongChain": LongChain,
    "Exception": lambda: Exception("x" * 10_000_000),
    "ValueError": lambda: ValueError("half \ud800 and nul \0"),
    "ExceptionGroup": lambda: ExceptionGroup("several", [StrRaises(), ExceptionGroup("more", [ClassRaises()])]),
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "StopIteration": StopIteration,
    "StopAsyncIteration": StopAsyncIteration,
    "CancelledError": asyncio.CancelledError,
    "RecursionError": lambda: RecursionError("deep"),
    "MemoryError": MemoryError,
    "Bare": Bare,
}


class Unreadable:
    """An object that cannot be read, compared or pickled."""

    __str__ = __repr__ = __eq__ = __hash__ = __iter__ = __getstate__ = __reduce_ex__ = _raises


class Exits(Unreadable):
    """Encoding it raises SystemExit."""

    __str__ = model_dump = dict = __getstate__ = _exits


class ClasslessObject:
    """Reading `__class__` raises."""

    __class__ = property(_raises)


class Endless(dict[str, Any]):
    """A dict that contains itself."""

    def __init__(self) -> None:
        super().__init__()
        self["self"] = self


class BadModel(BaseModel):
    """A model whose serializer raises SystemExit."""

    value: int = 1

    @model_serializer
    def _serialize(self) -> Any:
        raise SystemExit(3)


OBJECTS: dict[str, Callable[[], Any]] = {
    "Unreadable": Unreadable,
    "Exits": Exits,
    "ClasslessObject": ClasslessObject,
    "Endless": Endless,
    "BadModel": BadModel,
    "key": lambda: {Text("key"): 1, ("a", "pair"): 2},
    "lock": threading.Lock,
    "generator": lambda: (number for number in range(3)),
}


def _raise(state: State, config: RunnableConfig) -> Any:
    effects[config["configurable"]["thread_id"]]["raise"] += 1
    raise KINDS[state["kind"]]()


async def raise_async(state: State, config: RunnableConfig) -> State:
    """Raises on the event loop."""
    await asyncio.sleep(0)
    _raise(state, config)
    return {}


def raise_sync(state: State, config: RunnableConfig) -> State:
    """Raises in a thread."""
    _raise(state, config)
    return {}


async def cancel_itself(state: State, config: RunnableConfig) -> State:
    """Cancels its own asyncio task. Kind `waits` then awaits, so that the cancellation arrives in the node."""
    effects[config["configurable"]["thread_id"]]["cancel"] += 1
    current = asyncio.current_task()
    assert current is not None
    current.cancel()
    if state["kind"] == "waits":
        await asyncio.sleep(0)
    return {"log": ["cancelled"]}


async def other(state: State) -> State:
    """A node in parallel to the one that raises."""
    return {"log": ["other"]}


async def start(state: State) -> State:
    """A first superstep, so that the error does not look like one of the input."""
    return {"log": ["start"]}


def _graph(node: Any, *, beside: bool = False, **how: Any) -> Graph:
    builder = StateGraph(State).add_node("start", start).add_node("raise", node, **how).add_edge(START, "start")
    builder.add_edge("start", "raise")
    if beside:
        builder.add_node("other", other).add_edge("start", "other")
    return builder.compile()


@task
async def cancel_called(state: State, config: RunnableConfig) -> None:
    """A task that cancels itself."""
    await cancel_itself(state, config)


@entrypoint()
async def cancel_in_task(input: State) -> None:
    """Calls a task that cancels itself."""
    await cancel_called(input)


@task
async def raise_called(state: State, config: RunnableConfig) -> None:
    """A task that raises."""
    _raise(state, config)


@entrypoint()
async def raise_in_task(input: State) -> None:
    """Calls a task that raises."""
    await raise_called(input)


async def raise_in_own_task(state: State, config: RunnableConfig) -> State:
    """Raises in an asyncio task that the node creates."""
    await asyncio.gather(asyncio.create_task(raise_async(state, config)), asyncio.sleep(0))
    return {}


async def _raise_in_async_edge(state: State, config: RunnableConfig) -> Any:
    await asyncio.sleep(0)
    _raise(state, config)


async def slow(state: State) -> State:
    """A parallel node that is still running when the edge raises."""
    await asyncio.sleep(0.2)
    return {}


def _in_edge(edge: Any = _raise, *, beside: bool = False) -> Graph:
    builder = StateGraph(State).add_node("start", start).add_edge(START, "start")
    if beside:
        builder.add_node("slow", slow).add_edge(START, "slow").add_node("other", other).add_edge(START, "other")
    return builder.add_conditional_edges("start", edge, ["start"]).compile()


def _reduce(old: list[str], new: list[str]) -> list[str]:
    if "other" in new:
        raise KINDS[old[0]]()
    return old + new


class Reduced(TypedDict, total=False):
    """A channel whose reducer raises the exception that the channel names."""

    kind: str
    names: Annotated[list[str], _reduce]


async def name(state: Reduced, config: RunnableConfig) -> Reduced:
    """Writes the name of the exception."""
    return {"names": [state["kind"]]}


async def name_other(state: Reduced, config: RunnableConfig) -> Reduced:
    """Makes the reducer raise."""
    effects[config["configurable"]["thread_id"]]["raise"] += 1
    return {"names": ["other"]}


def _in_reducer() -> Graph:
    builder = StateGraph(Reduced).add_node("name", name).add_node("other", name_other)
    return builder.add_edge(START, "name").add_edge("name", "other").compile()


class ObjectState(TypedDict, total=False):
    """`kind` names an object, `log` the channel to which the node writes it."""

    kind: str
    log: list[str]
    object: Any
    messages: Annotated[list[AnyMessage], add_messages]


async def write_object(state: ObjectState, config: RunnableConfig) -> ObjectState:
    """Writes an object to the channel that the input names."""
    effects[config["configurable"]["thread_id"]]["write"] += 1
    hostile_object, channel = OBJECTS[state["kind"]](), state["log"][0]
    if channel == "custom":
        get_stream_writer()(hostile_object)
    elif channel == "interrupt":
        interrupt(hostile_object)
    elif channel == "message":
        return {"messages": [AIMessage("hi", additional_kwargs={"object": hostile_object})]}
    else:
        return {"object": hostile_object}
    return {}


writes_object = StateGraph(ObjectState).add_node("write", write_object).add_edge(START, "write").compile()
alone = _graph(raise_async)
in_thread = _graph(raise_sync)
beside = _graph(raise_async, beside=True)
inside = _graph(_graph(raise_async, beside=True))
retried = _graph(raise_async, retry_policy=RetryPolicy(0.001, 1, jitter=False, max_attempts=3, retry_on=ValueError))


class CancelsItself(Runnable[State, State]):
    """A node that LangGraph awaits in the task of the superstep."""

    def invoke(self, input: State, config: RunnableConfig | None = None, **kwargs: Any) -> State:
        """Never called: graphs are executed on the event loop."""
        raise NotImplementedError

    async def ainvoke(self, input: State, config: RunnableConfig | None = None, **kwargs: Any) -> State:
        """Cancels the task of the superstep."""
        assert config is not None
        return await cancel_itself(input, config)


def _cancel_in_edge() -> Graph:
    async def choose(state: State, config: RunnableConfig) -> str:
        await cancel_itself(state, config)
        return "start"

    builder = StateGraph(State).add_node("start", start).add_edge(START, "start")
    return builder.add_conditional_edges("start", choose, ["start"]).compile()


def _cancel_in_reducer() -> Graph:
    def reduce(old: list[str], new: list[str]) -> list[str]:
        current = asyncio.current_task()
        if "other" in new and current is not None:
            current.cancel()
        return old + new

    class Cancelling(TypedDict, total=False):
        kind: str
        names: Annotated[list[str], reduce]

    async def write(state: Cancelling, config: RunnableConfig) -> Cancelling:
        effects[config["configurable"]["thread_id"]]["cancel"] += 1
        return {"names": ["other"]}

    return StateGraph(Cancelling).add_node("write", write).add_edge(START, "write").compile()


cancel_in_reducer = _cancel_in_reducer()
cancel_in_edge = _cancel_in_edge()
cancel_runnable = _graph(CancelsItself())
cancel_runnable_beside = _graph(CancelsItself(), beside=True)
cancel_alone = _graph(cancel_itself)
cancel_beside = _graph(cancel_itself, beside=True)
cancel_inside = _graph(_graph(cancel_itself, beside=True))
own_task = _graph(raise_in_own_task, beside=True)
in_edge = _in_edge()
in_edge_beside = _in_edge(beside=True)
in_async_edge_beside = _in_edge(_raise_in_async_edge, beside=True)
in_reducer = _in_reducer()
