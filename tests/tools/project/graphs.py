"""Graphs that call tools in every way."""

import asyncio
import contextvars
import copy
import functools
import importlib.util
import operator
import threading
import time
import types
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue
from typing import Annotated, Any, TypedDict

import project_tools  # type: ignore[import-not-found]
from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_config
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph, add_messages
from langgraph.prebuilt import ToolNode
from langgraph.runtime import Runtime
from langgraph.types import RetryPolicy, interrupt
from project_tools import (
    approved_refund,
    calls_approved_refund,
    effects,
    issue_refund,
    ledger,
    lookup_customer,
    lookup_order,
    outer,
    search,
    send_mail,
    slow_refund,
)

import slipway.tools
from slipway.errors import ToolError
from slipway.graphs.interface import Graph


class State(TypedDict, total=False):
    """`how` is the way in which the node calls `tool` with `args`."""

    how: str
    tool: str
    args: dict[str, Any]
    times: int
    results: Annotated[list[Any], operator.add]
    messages: Annotated[list[AnyMessage], add_messages]


TOOLS: dict[str, Any] = {
    "issue_refund": issue_refund,
    "send_mail": send_mail,
    "lookup_order": lookup_order,
    "lookup_customer": lookup_customer,
    "ledger": ledger,
    "search": search,
    "slow_refund": slow_refund,
    "outer": outer,
    "approved_refund": approved_refund,
    "calls_approved_refund": calls_approved_refund,
}


def function_of(name: str) -> Any:
    target = TOOLS[name]
    return getattr(target, "coroutine", None) or getattr(target, "func", None) or target


async def acts(state: State) -> dict[str, Any]:
    """Calls a tool as `how` says, once or several times."""
    results = [await _one(state["how"], state["tool"], state["args"]) for _ in range(state.get("times", 1))]
    return {"results": results}


async def catches(state: State) -> dict[str, Any]:
    """The same, and handles the typed errors."""
    try:
        return await acts(state)
    except ToolError as error:
        return {"results": [f"{type(error).__name__}: {error}"]}


def _forged(namespace: str) -> RunnableConfig:
    """The config of this node, but for the place in the graph that LangGraph keeps there."""
    configurable = get_config()["configurable"]
    runtime = configurable["__pregel_runtime"]
    info = replace(runtime.execution_info, checkpoint_ns=namespace, task_id="0")
    forged = {"checkpoint_ns": namespace, "__pregel_runtime": runtime.override(execution_info=info)}
    return {"configurable": configurable | forged}


async def _one(how: str, name: str, args: dict[str, Any]) -> Any:
    target: Any = TOOLS.get(name)
    call: Any = {"how": "call", "tool": name, "args": args}
    match how:
        case "call":
            return await slipway.tools.call(name, **args)
        case "ainvoke":
            return await target.ainvoke(args)
        case "function":
            result = function_of(name)(**args)
            return await result if asyncio.iscoroutine(result) else result
        case "invoke in a thread":
            return await asyncio.to_thread(target.invoke, args)
        case "function in a thread":
            return await asyncio.to_thread(function_of(name), **args)
        case "loop in a thread":
            return await asyncio.to_thread(lambda: asyncio.run(function_of(name)(**args)))
        case "bare thread":
            return await _in_bare_thread(name, args)
        case "empty context":
            context = contextvars.Context()
            return await asyncio.create_task(_one("call", name, args), context=context)
        case "partial":
            return await functools.partial(function_of(name), **args)()
        case "code of the function":
            function = function_of(name)
            return await types.FunctionType(function.__code__, function.__globals__)(**args)
        case "copy":
            return await copy.copy(target).ainvoke(args)
        case "model copy":
            return await target.model_copy(update={"return_direct": True}).ainvoke(args)
        case "tool made of the function":
            return await StructuredTool.from_function(coroutine=function_of(name)).ainvoke(args)
        case "tool made of the function in a thread":
            return await asyncio.to_thread(StructuredTool.from_function(function_of(name)).invoke, args)
        case "another object of the class":
            return await type(target)().ainvoke(args)
        case "method of the class":
            return await asyncio.to_thread(type(target)._run, target, **args)
        case "replaced function":
            before, target.coroutine = target.coroutine, _instead
            try:
                return await target.ainvoke(args)
            finally:
                target.coroutine = before
        case "imported again":
            function = getattr(_imported_again(), name)
            return await getattr(function, "coroutine", function)(**args)
        case "waits for a thread":
            with ThreadPoolExecutor() as pool:
                return pool.submit(function_of(name), **args).result()
        case "batch":
            return target.batch([args, args])
        case "waits for a loop in a thread":
            with ThreadPoolExecutor() as pool:
                return pool.submit(lambda: asyncio.run(function_of(name)(**args))).result()
        case "sleeps until a thread has ended":
            future = in_a_pool.submit(function_of(name), **args)
            while not future.done():
                time.sleep(0.01)
            return future.result()
        case "waits for a thread whose call has begun":
            future = in_a_pool.submit(slipway.tools.call_sync, name, **args)
            while not effects[get_config()["configurable"]["thread_id"]]:  # noqa: ASYNC110  tools count, they signal nothing
                await asyncio.sleep(0.01)
            return future.result()
        case "blocks the loop":
            return function_of(name)(**args)
        case "subgraph":
            return (await inner.ainvoke(call))["results"]
        case "task":
            return await pays_in_a_task(name, args)
        case "subgraph without checkpoints":
            return (await inner.copy({"checkpointer": False}).ainvoke(call))["results"]
        case "subgraph with another checkpointer":
            return (await inner.copy({"checkpointer": InMemorySaver()}).ainvoke(call))["results"]
        case "subgraph in a subgraph without checkpoints":
            outer = inner.copy({"checkpointer": False})
            return (await outer.ainvoke({**call, "how": "subgraph"}))["results"]
        case "subgraph with durability exit":
            return (await inner.ainvoke(call, durability="exit"))["results"]
        case "subgraph on another thread":
            return (await inner.ainvoke(call, {"configurable": {"thread_id": "other"}}))["results"]
        case "subgraph on the same thread":
            own: RunnableConfig = {"configurable": {"thread_id": get_config()["configurable"]["thread_id"]}}
            return (await inner.ainvoke(call, own))["results"]
        case "subgraph with a namespace":
            return (await inner.ainvoke(call, {"configurable": {"checkpoint_ns": "pay:0"}}))["results"]
        case "subgraph with a forged namespace":
            return (await inner.ainvoke(call, _forged("pay:0")))["results"]
        case "tool with a forged namespace":
            return await target.ainvoke(args, _forged("pay:0"))
        case "synchronous subgraph":
            return (await asyncio.to_thread(inner_in_threads.invoke, call))["results"]
    raise AssertionError(how)


in_a_pool = ThreadPoolExecutor()


async def _instead(**args: Any) -> str:
    effects[get_config()["configurable"]["thread_id"]].append(("instead", args))
    return "instead"


def _imported_again() -> types.ModuleType:
    """The module of the tools, under another name."""
    spec = importlib.util.spec_from_file_location("tools_again", project_tools.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.effects, module.keys = effects, project_tools.keys  # type: ignore[attr-defined]
    return module


async def _in_bare_thread(name: str, args: dict[str, Any]) -> Any:
    found: list[Any] = []

    def work() -> None:
        try:
            function = function_of(name)
            result = asyncio.run(function(**args)) if asyncio.iscoroutinefunction(function) else function(**args)
            found.append(result)
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    await asyncio.to_thread(thread.join)
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def plain_node(state: State) -> dict[str, Any]:
    """A node that is a plain function, which LangGraph executes in a thread."""
    name, args, target = state["tool"], state["args"], TOOLS[state["tool"]]
    match state["how"]:
        case "call":
            return {"results": [slipway.tools.call_sync(name, **args)]}
        case "invoke":
            return {"results": [target.invoke(args)]}
        case "function":
            return {"results": [target.func(**args) if hasattr(target, "func") else target(**args)]}
    raise AssertionError(state["how"])


def _sequence(*nodes: tuple[str, Any], **options: Any) -> Graph:
    builder, before = StateGraph(State), START
    for name, node in nodes:
        builder.add_node(name, node, **options)
        builder.add_edge(before, name)
        before = name
    return builder.compile()


inner = _sequence(("pay", acts))
"""A subgraph whose node has the name of a node of the root graph that may pay."""

pays = _sequence(("pay", acts), ("after", lambda state: {}))
evades = _sequence(("chat", acts))
handles = _sequence(("pay", catches))
in_threads = _sequence(("pay", plain_node))
inner_in_threads = in_threads
"""A subgraph that is called synchronously."""
hides = _sequence(("chat", inner))
"""Its subgraph is a node."""


async def flaky(state: State, runtime: Runtime[None]) -> dict[str, Any]:
    """Calls a tool, and fails afterwards the first time."""
    result = await acts(state)
    if runtime.execution_info is not None and runtime.execution_info.node_attempt == 1:
        raise ConnectionError("after the call")
    return result


retries = _sequence(("pay", flaky), retry_policy=RetryPolicy(initial_interval=0.01, jitter=False))

retries_what_took_too_long = _sequence(
    ("pay", acts), timeout=0.2, retry_policy=RetryPolicy(initial_interval=0.01, jitter=False, max_attempts=10)
)


async def catches_everything(state: State) -> dict[str, Any]:
    try:
        return await acts(state)
    except Exception as error:  # also the question about the call
        return {"results": [type(error).__name__]}


catches_the_question = _sequence(("pay", catches_everything))


async def fails(state: State) -> dict[str, Any]:
    """Calls a tool, and fails afterwards."""
    await acts(state)
    raise ValueError("after the call")


compensates = _sequence(("pay", fails), error_handler=acts)
"""The error handler of its node makes the same call as the node."""


async def asks_afterwards(state: State) -> dict[str, Any]:
    """Calls a tool, then asks a person in the same node, so that the node is executed again."""
    result = await acts(state)
    return {"results": [*result["results"], interrupt("ok?")]}


asks = _sequence(("pay", asks_afterwards))


def model(state: State) -> dict[str, Any]:
    """Calls tools as a chat model does."""
    calls = [
        {"name": state["tool"], "args": state["args"], "id": f"call_{number}", "type": "tool_call"}
        for number in range(state.get("times", 1))
    ]
    return {"messages": [AIMessage("", tool_calls=calls)]}


tool_node = _sequence(("model", model), ("tools", ToolNode(list(TOOLS.values()))))


@task
async def pays_in_a_task(name: str, args: dict[str, Any]) -> Any:
    return await slipway.tools.call(name, **args)


@entrypoint()
async def pay(state: dict[str, Any]) -> dict[str, Any]:
    """A workflow of LangGraph's functional API."""
    first = await slipway.tools.call(state["tool"], **state["args"])
    return {"results": [first, await pays_in_a_task(state["tool"], state["args"])]}


jobs: SimpleQueue[Future[Any]] = SimpleQueue()


def _answer_a_job(call: Callable[[], Any]) -> None:
    """Starts a thread, which makes a call when the next node wants it."""

    def work() -> None:
        future = jobs.get()
        try:
            future.set_result(call())
        except ToolError as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()


def wants_the_call(state: State) -> dict[str, Any]:
    future: Future[Any] = Future()
    jobs.put(future)
    return {"results": [future.result(10)]}


def starts_a_thread(state: State) -> None:
    _answer_a_job(lambda: send_mail.invoke({"to": "x"}))


shares_a_thread = _sequence(("pay", starts_a_thread), ("chat", wants_the_call))

configs: list[RunnableConfig] = []


def pays_in_a_reducer(before: int, more: int) -> int:
    """A reducer is no node, although it uses the config of one."""
    if configs:
        call: Any = {"how": "call", "tool": "send_mail", "args": {"to": "x"}}
        config = configs.pop()
        _answer_a_job(lambda: in_threads.invoke(call, config))
    return before + more


class Sum(TypedDict, total=False):
    sum: Annotated[int, pays_in_a_reducer]


def keeps_its_config(state: Sum, config: RunnableConfig) -> Sum:
    configs.append(config)
    return {"sum": 1}


_reduces = StateGraph(Sum)
_reduces.add_node("pay", keeps_its_config)
_reduces.add_node("after", wants_the_call)
_reduces.add_edge("pay", "after")
_reduces.add_edge(START, "pay")
reduces = _reduces.compile()


def makes(config: RunnableConfig) -> Graph:
    """A factory whose graph has another node for another config."""
    return _sequence((config["configurable"].get("node", "chat"), acts))
